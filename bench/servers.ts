import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, openSync } from 'node:fs'
import { mkdtemp, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import postgres from 'postgres'

const fromHere = (path: string) => fileURLToPath(new URL(path, import.meta.url))

/** What each system is run with. Ours is `npm start` in production. */
const scripts = {
  ours: [
    '--max-semi-space-size=16',
    '--import',
    fromHere('../src/runtime/node/preload.ts'),
    fromHere('../src/runtime/node/main.ts'),
  ],
  bare: [fromHere('peers/bare/server.ts')],
  fastify: [fromHere('peers/fastify/server.js')],
}
export type SystemName = keyof typeof scripts

/** Whether what a system is made of is there: that of Fastify is installed apart. */
export const isInstalled = (name: SystemName) =>
  name !== 'fastify' || existsSync(fromHere('peers/fastify/node_modules/fastify'))

/**
 * A process that serves `url`, and a connection to its database to look at that. Behind its answers it waits with work
 * for up to `behind` ms.
 */
export type Server = {
  name: SystemName
  url: string
  pid: number
  behind: number
  sql: postgres.Sql
  stop(): Promise<void>
}

/** Waits for a condition, in ms at most. */
export async function until<T>(what: string, found: () => Promise<T | undefined>, most = 20_000): Promise<T> {
  for (const end = performance.now() + most; performance.now() < end; await setTimeout(5)) {
    const value = await found()
    if (value !== undefined) return value
  }
  throw new Error(`waited ${most} ms for ${what}`)
}

const secret = randomBytes(32).toString('base64url')

/** One account sends all requests of a load, and they are counted but never too many; its sessions do not end. */
export const unlimited = {
  REQUESTS_PER_ACCOUNT_MIN: '1000000000',
  REQUESTS_PER_ADDRESS_MIN: '1000000000',
  SESSIONS_PER_ACCOUNT: '0',
}

/** Its environment: production, everything on, and nothing of this process's own. */
const settings = (database: string, folder: string): NodeJS.ProcessEnv => ({
  PATH: process.env.PATH,
  NODE_ENV: 'production',
  PORT: '0',
  DATABASE_URL: database,
  REPORTS_DIR: join(folder, 'reports'),
  JWT_SECRET: secret,
  ...unlimited,
})

/** Starts one on a database; what it logs goes into a file, as a service manager would have it. */
export async function start(name: SystemName, database: string, flags: string[] = []): Promise<Server> {
  const folder = await mkdtemp(join(tmpdir(), 'hospital-bench-'))
  const log = join(folder, 'log')
  const child: ChildProcess = spawn(process.execPath, [...flags, ...scripts[name]], {
    env: settings(database, folder),
    stdio: ['ignore', openSync(log, 'a'), 'inherit'],
  })
  const ended = once(child, 'exit')
  // Whatever ends the bench ends what it started.
  const end = () => child.kill()
  process.once('exit', end)
  const port = await until(`${name} to listen`, async () => {
    if (child.exitCode !== null) throw new Error(`${name} ended before it listened`)
    return /"port":(\d+)/.exec(await readFile(log, 'utf8'))?.[1]
  })
  const sql = postgres(database, { max: 1, onnotice: () => {} })
  return {
    name,
    url: `http://127.0.0.1:${port}`,
    pid: child.pid ?? 0,
    // The trail.
    behind: name === 'ours' ? 1000 : 0,
    sql,
    async stop() {
      end()
      await ended
      process.off('exit', end)
      await sql.end()
    },
  }
}

/** A request by hand, answered in JSON. @throws where the answer is an error */
export async function ask<T>(server: Pick<Server, 'url'>, path: string, token: string, body?: unknown): Promise<T> {
  const response = await fetch(server.url + path, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  })
  if (!response.ok) throw new Error(`${path} → ${response.status} ${await response.text()}`)
  const answer: T = await response.json()
  return answer
}
