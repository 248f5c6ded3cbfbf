import { sql } from 'drizzle-orm'
import { type Config, findMisspelt } from '../config.ts'
import { close, connect, type Pool } from '../db/client.ts'
import { nameOfDatabase } from '../db/reason.ts'
import { listens, openDatabase } from '../setup.ts'
import { CommandError, sentenceOf } from './failure.ts'

export const say = (line: string) => process.stdout.write(`${line}\n`)

/** Runs a command to its end and ends the process: 1 with a sentence where it failed. */
export async function run(command: () => Promise<number | undefined>): Promise<never> {
  try {
    process.exit((await command()) ?? 0)
  } catch (error) {
    process.stderr.write(`${sentenceOf(error)}\n`)
    process.exit(1)
  }
}

/** What a sentence may call the database: never a URL, which holds a password. */
const nameOf = (config: Config) =>
  config.DATABASE_URL ? nameOfDatabase(config.DATABASE_URL) : `the embedded database in ${config.DATA_DIR}`

/** `lost` tells when the process that serves a joined database has ended. */
export type Database = { url: string; applied: number; db: Pool; name: string; lost: AbortSignal }

/** How long a server may take to answer the first time, in ms. The driver itself may wait for ever. */
const patience = 15_000

async function reach(db: Pool): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(Object.assign(new Error('no answer'), { code: 'CONNECT_TIMEOUT' })), patience)
  })
  await Promise.race([db.execute(sql`select 1`), limit]).finally(() => clearTimeout(timer))
}

/**
 * Opens the database that the settings name, joining one that runs, and closes it when `work` is done.
 * @throws {CommandError} a sentence where the database is the reason
 */
export async function withDatabase<T>(config: Config, work: (database: Database) => Promise<T>): Promise<T> {
  for (const sentence of findMisspelt(process.env)) process.stderr.write(`${sentence}\n`)
  const name = nameOf(config)
  const { url, applied, joined, stop } = await openDatabase(config, { share: true }).catch((error: unknown) => {
    throw CommandError.of(error, name)
  })
  const db = connect(url, { max: 1, prepare: config.DATABASE_PREPARE })
  const losing = new AbortController()
  const watch = setInterval(async () => {
    if (!joined || losing.signal.aborted || (await listens(url))) return
    process.stderr.write(`The process that served ${name} has ended.\n`)
    losing.abort()
  }, 1000)
  try {
    await reach(db)
    return await work({ url, applied, db, name, lost: losing.signal })
  } catch (error) {
    throw CommandError.of(error, name)
  } finally {
    clearInterval(watch)
    await close(db, 1)
    await stop()
  }
}
