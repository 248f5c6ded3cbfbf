import { sql } from 'drizzle-orm'
import type { Config } from '../config.ts'
import { close, connect, type Db } from '../db/client.ts'
import { type OpenDatabase, openDatabase } from '../setup.ts'
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
const nameOf = (config: Config) => {
  if (!config.DATABASE_URL) return `the embedded database in ${config.DATA_DIR}`
  const { host, pathname } = new URL(config.DATABASE_URL)
  return `the database${pathname.length > 1 ? ` ${decodeURIComponent(pathname.slice(1))}` : ''} at ${host}`
}

export type Database = OpenDatabase & { db: Db; name: string }

/** How long a server may take to answer the first time, in ms. The driver itself may wait for ever. */
const patience = 15_000

async function reach(db: Db): Promise<void> {
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
  const name = nameOf(config)
  const opened = await openDatabase(config, { share: true })
  const db = connect(opened.url, { max: 1 })
  try {
    await reach(db)
    return await work({ ...opened, db, name })
  } catch (error) {
    throw CommandError.of(error, name)
  } finally {
    await close(db, 1)
    await opened.stop()
  }
}
