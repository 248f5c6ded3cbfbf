import { auditFull } from './access/can.ts'
import { type RateLimitBinding, type RateLimits, rateLimits } from './access/rate-limits.ts'
import { app } from './app.ts'
import { auditLog } from './audit/record.ts'
import { UnwrittenEntries } from './audit/unwritten.worker.ts'
import { Sessions } from './auth/authenticate.ts'
import { withDjango } from './auth/passwords.django.ts'
import type { PasswordHasher } from './auth/passwords.ts'
import { workerHasher } from './auth/passwords.worker.ts'
import { type TokenKeys, tokenKeys } from './auth/tokens.ts'
import { Turns, takesPassword } from './auth/turns.worker.ts'
import { type Config, ConfigError, findMisspelt, readConfig } from './config.ts'
import { close, connect } from './db/client.ts'
import type { Env } from './env.ts'
import { discardBody } from './http/form.ts'
import { jsonLog, type Log } from './http/log.ts'
import { Problem } from './http/problem.ts'
import { refusal } from './http/render.ts'
import type { Assets } from './openapi/page.ts'
import { noMetrics } from './operation/metrics.ts'
import { type Bucket, r2Files } from './reports/files.r2.ts'

type Bindings = {
  HYPERDRIVE: { connectionString: string }
  REPORTS: Bucket
  ASSETS: AssetsBinding
  ACCOUNT_REQUESTS?: RateLimitBinding
  ADDRESS_REQUESTS?: RateLimitBinding
  [setting: string]: unknown
}
type AssetsBinding = { fetch(url: string): Promise<Response> }
type ExecutionContext = { waitUntil(work: Promise<unknown>): void; passThroughOnException(): void; props: unknown }

/** The folder that is uploaded with the Worker. Its files are asked for by URL, of whatever host. */
const assetsOf =
  (folder: AssetsBinding): Assets =>
  async (name) => {
    const { body, headers } = await folder.fetch(`https://assets.local/${name}`)
    const [, version] = /"([^"]+)"/.exec(headers.get('ETag') ?? '') ?? []
    if (!body || version === undefined) throw new Error(`${name} was not uploaded with the Worker`)
    return { body, coding: 'identity', version }
  }

/** What outlives a request: settings, keys and memory, but no connection, since a socket belongs to one request. */
type Isolate = {
  unwritten: UnwrittenEntries
  config: Config
  log: Log
  keys: TokenKeys
  passwords: PasswordHasher
  sessions: Sessions
  rateLimits: RateLimits
  turns: Turns
}
let isolate: Isolate | undefined

async function setUp(bindings: Bindings): Promise<Isolate> {
  const config = readConfig({ ...bindings, DATABASE_URL: bindings.HYPERDRIVE.connectionString })
  // biome-ignore lint/suspicious/noConsole: it is how a Worker logs.
  const log = jsonLog(config.LOG_LEVEL, (line) => console.log(line))
  for (const msg of findMisspelt(bindings)) log.warn({ msg })
  return {
    unwritten: new UnwrittenEntries(),
    config,
    log,
    keys: await tokenKeys(config),
    passwords: withDjango(await workerHasher()),
    sessions: new Sessions(),
    rateLimits: rateLimits(config, { account: bindings.ACCOUNT_REQUESTS, address: bindings.ADDRESS_REQUESTS }),
    turns: new Turns(),
  }
}

/** An answer that is not the app's. */
function refused(problem: Problem, request: Request, requestId = request.headers.get('X-Request-Id')): Response {
  const { status, headers, body } = refusal(problem, {
    sent: requestId ?? undefined,
    secure: request.url.startsWith('https:'),
  })
  return new Response(body, { status, headers })
}

/** The answer while the settings cannot be used: which ones is for the log alone. */
function notSetUp(error: unknown, request: Request): Response {
  if (!(error instanceof ConfigError)) throw error
  // biome-ignore lint/suspicious/noConsole: it is how a Worker logs.
  console.error(error.message)
  return refused(new Problem('internal'), request)
}

/** Answers, once it is its turn where it takes a password: until then it holds no connection. */
async function respond(request: Request, env: Env, context: ExecutionContext, turns: Turns): Promise<Response> {
  if (!takesPassword(request)) return app.fetch(request, env, context)
  const turn = await turns.take().catch((error: unknown) => {
    if (error instanceof Problem) return error
    throw error
  })
  if (turn instanceof Problem) return refused(turn, request)
  try {
    return await app.fetch(request, env, context)
  } finally {
    turn()
  }
}

/** In place of an answer that would be in no audit log. */
function notShown(response: Response, request: Request): Response {
  void response.body?.cancel()
  return refused(auditFull(), request, response.headers.get('X-Request-Id'))
}

export default {
  async fetch(request: Request, bindings: Bindings, context: ExecutionContext): Promise<Response> {
    try {
      isolate ??= await setUp(bindings)
    } catch (error) {
      return notSetUp(error, request)
    }
    const { DATABASE_TIMEOUT_MS: timeout } = isolate.config
    const db = connect(bindings.HYPERDRIVE.connectionString, { max: 5, timeout, tellServer: false })
    const audit = auditLog(db, isolate.log, () => {})
    const env: Env = {
      ...isolate,
      db,
      files: r2Files(bindings.REPORTS),
      assets: assetsOf(bindings.ASSETS),
      audit,
      metrics: noMetrics,
      address: request.headers.get('CF-Connecting-IP') ?? '',
      secure: request.url.startsWith('https:'),
      draining: false,
    }
    let response = await respond(request, env, context, isolate.turns)
    await discardBody(request, 32 * 1024 * 1024)
    // Behind the answer: the trail, then the connections. Where the trail could not be written the last time, in front of it.
    const { unwritten, log } = isolate
    if (unwritten.failing && audit.backlog > 0 && !(await unwritten.writeBefore(audit)))
      response = notShown(response, request)
    context.waitUntil(unwritten.writeBehind(audit, log).finally(() => close(db, 1)))
    return response
  },
}
