import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, inject } from 'vitest'
import { MemoryAuthenticationCache } from '../../src/access/authenticate.ts'
import { createRateLimiters } from '../../src/access/rate-limits.ts'
import { importHmacKeys } from '../../src/access/tokens.ts'
import { app } from '../../src/app.ts'
import { createAuditWriter } from '../../src/audit/writer.ts'
import { parseConfig } from '../../src/config.ts'
import type { Database, Dependencies } from '../../src/context.ts'
import { closeDatabase, connectDatabase, getPoolStats } from '../../src/database/client.ts'
import { withDjangoHashes } from '../../src/features/auth/passwords.django.ts'
import { nodePasswordHasher } from '../../src/features/auth/passwords.node.ts'
import { limitHasher } from '../../src/features/auth/passwords.ts'
import { createFolderFileStore } from '../../src/features/reports/file-store.folder.ts'
import { createJsonLogger } from '../../src/observability/logger.ts'
import { createNodeMetrics } from '../../src/observability/metrics.node.ts'
import { createReadinessCheck } from '../../src/observability/readiness.ts'
import { readPackageAsset } from '../../src/openapi/assets.node.ts'
import { copyOf } from './database.ts'
import { expectDocumented } from './documented.ts'

export const secret = 'a secret of more than thirty-two bytes'
export const password = 'correct horse battery staple'
/** Settings with which requests are not counted: tests and loads send more than people do. */
export const uncounted = { REQUESTS_PER_ACCOUNT_MIN: '0', REQUESTS_PER_ADDRESS_MIN: '0' }
/** What a database may take in a test that is not about it, in ms: longer than a machine with other work stands still. */
export const patience = 30_000

const inside = (value: unknown, path: string): unknown =>
  path
    .split('.')
    .reduce<unknown>((at, key) => (typeof at === 'object' && at !== null ? Reflect.get(at, key) : undefined), value)

/** An answer with its body parsed. */
export class Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  readonly body: unknown

  constructor(status: number, headers: Headers, text: string) {
    this.status = status
    this.headers = headers
    this.text = text
    this.body = /json/.test(headers.get('Content-Type') ?? '') && text ? JSON.parse(text) : undefined
  }

  /** What stands at a path such as `results.0.id`. */
  at(path: string): unknown {
    return inside(this.body, path)
  }

  /** The string at a path; fails where there is none. */
  string(path: string): string {
    const value = this.at(path)
    if (typeof value !== 'string') throw new Error(`no string at ${path} in ${this.status} ${this.text}`)
    return value
  }

  get id(): string {
    return this.string('id')
  }

  /** The list at a path; fails where there is none. */
  list(path = 'results'): unknown[] {
    const value = this.at(path)
    if (!Array.isArray(value)) throw new Error(`no list at ${path} in ${this.status} ${this.text}`)
    return value
  }

  /** One field of each entry of the list at a path. */
  each(field: string, path = 'results'): unknown[] {
    return this.list(path).map((entry) => inside(entry, field))
  }

  /** The paths of a 400's faults. */
  get faults(): unknown[] {
    return this.each('path', 'errors')
  }
}

/** A body that is sent as it is: text, bytes or a form. */
const rawBody = (body: unknown): BodyInit | undefined => {
  if (typeof body === 'string' || body instanceof FormData) return body
  return body instanceof Uint8Array ? new Uint8Array(body) : undefined
}

export type Options = { token?: string | undefined; headers?: Record<string, string>; env?: Partial<Dependencies> }

/** A process of the API: its own memory, its own pool, on a database that others may share. */
export class Api {
  readonly env: Dependencies
  readonly logged: string[]
  readonly #secrets = new Set([password, secret, '$argon2', '@example.', 'insert into', 'Pat Patient'])

  /** The folder of its files. */
  readonly folder: string

  private constructor(env: Dependencies, logged: string[], folder: string) {
    this.env = env
    this.logged = logged
    this.folder = folder
  }

  /** Starts one on the database at `url`; `settings` are environment variables. What takes too long is tested in `faults`. */
  static async start(url: string, settings: Record<string, string> = {}): Promise<Api> {
    const config = parseConfig({
      NODE_ENV: 'test',
      JWT_SECRET: secret,
      DATABASE_URL: url,
      DATABASE_POOL_MAX: '5',
      DATABASE_TIMEOUT_MS: `${patience}`,
      REGISTRATIONS_PER_ADDRESS: '100000',
      LOGIN_FAILURES_PER_ADDRESS: '100000',
      ...uncounted,
      ...settings,
    })
    const logged: string[] = []
    const log = createJsonLogger('debug', (line) => logged.push(line))
    const db = connectDatabase(url, {
      maxConnections: config.DATABASE_POOL_MAX,
      statementTimeoutMs: config.DATABASE_TIMEOUT_MS,
      maxWaitMs: patience,
    })
    const audit = createAuditWriter(db, log)
    const passwords = limitHasher(withDjangoHashes(nodePasswordHasher), 2)
    const folder = await mkdtemp(join(tmpdir(), 'hospital-reports-'))
    const env: Dependencies = {
      config,
      db,
      fileStore: await createFolderFileStore(folder),
      logger: log,
      docsAssets: readPackageAsset,
      hmacKeys: await importHmacKeys(config),
      passwordHasher: passwords,
      authenticationCache: new MemoryAuthenticationCache(),
      rateLimiters: createRateLimiters(config),
      auditWriter: audit,
      metrics: createNodeMetrics({
        auditBacklog: () => audit.pendingCount,
        auditLost: () => audit.lostCount,
        passwordsWaiting: () => passwords.waitingCount,
        pool: () => getPoolStats(db),
        ready: createReadinessCheck(db),
      }),
      clientAddress: '192.0.2.1',
      isHttps: false,
      isDraining: false,
    }
    return new Api(env, logged, folder)
  }

  get db(): Database {
    return this.env.db
  }

  /** Stops it. Whatever was tested: nothing secret and nothing of people was written into the log. */
  async stop(): Promise<void> {
    await this.env.auditWriter.flush()
    await closeDatabase(this.env.db)
    await rm(this.folder, { recursive: true })
    const log = this.logged.join('\n')
    for (const secret of this.#secrets) if (log.includes(secret)) throw new Error(`the log tells ${secret}`)
  }

  /** Sends a request with any body; an object goes as JSON. */
  async send(
    method: string,
    path: string,
    body?: unknown,
    { token, headers = {}, env = {} }: Options = {},
  ): Promise<Answer> {
    const raw = rawBody(body)
    const json = body === undefined || raw !== undefined ? {} : { 'Content-Type': 'application/json' }
    const request = new Request(`http://hospital.test${path}`, {
      method,
      headers: { ...json, ...(token && { Authorization: `Bearer ${token}` }), ...headers },
      ...(body !== undefined && { body: raw ?? JSON.stringify(body) }),
    })
    const response = await app.fetch(request, { ...this.env, ...env })
    const answer = new Answer(response.status, response.headers, await response.text())
    expectDocumented(method, path, answer.status, answer.headers, answer.body)
    for (const token of [answer.at('access'), answer.at('refresh')])
      if (typeof token === 'string') this.#secrets.add(token)
    // Whatever is tested: no answer ever tells a password or what it is kept as.
    for (const secret of [password, '$argon2', 'pbkdf2_'])
      if (answer.text.includes(secret)) throw new Error(`${method} ${path} tells a secret`)
    return answer
  }

  /** Registers someone new and signs them in. The first of an empty database is its administrator. */
  async register(name: string): Promise<Person> {
    const email = `${name.toLowerCase().replace(/\W+/g, '.')}.${crypto.randomUUID().slice(0, 8)}@example.org`
    const answer = await this.send('POST', '/api/auth/register', { name, email, password })
    return new Person(this, answer.string('user.id'), email, answer.string('access'), answer.string('refresh'))
  }
}

/** Someone signed in. */
export class Person {
  readonly api: Api
  readonly id: string
  readonly email: string
  readonly access: string
  readonly refresh: string

  constructor(api: Api, id: string, email: string, access: string, refresh: string) {
    this.api = api
    this.id = id
    this.email = email
    this.access = access
    this.refresh = refresh
  }

  private as = (headers: Record<string, string> = {}) => ({ token: this.access, headers })
  get = (path: string, headers?: Record<string, string>) => this.api.send('GET', path, undefined, this.as(headers))
  post = (path: string, body?: unknown, headers?: Record<string, string>) =>
    this.api.send('POST', path, body, this.as(headers))
  put = (path: string, body: unknown, headers?: Record<string, string>) =>
    this.api.send('PUT', path, body, this.as(headers))
  patch = (path: string, body: unknown, headers?: Record<string, string>) =>
    this.api.send('PATCH', path, body, this.as(headers))
  delete = (path: string, headers?: Record<string, string>) =>
    this.api.send('DELETE', path, undefined, this.as(headers))
}

/** A database of the test file's own, until its tests are done, a process of the API on it, and its administrator. */
export async function world(settings: Record<string, string> = {}) {
  const database = await copyOf(inject('template'))
  const api = await Api.start(database.url, settings)
  afterAll(async () => {
    await api.stop()
    await database.stop()
  })
  return { url: database.url, api, admin: await api.register('Ada Admin') }
}

export const patient = (more: Record<string, unknown> = {}) => ({
  name: 'Pat Patient',
  dateOfBirth: '1980-02-29',
  gender: 'female',
  ...more,
})
export const doctor = (more: Record<string, unknown> = {}) => ({
  name: 'Dora Doctor',
  specialization: 'Cardiology',
  email: `${crypto.randomUUID()}@example.org`,
  ...more,
})
