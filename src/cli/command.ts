import { sql } from 'drizzle-orm'
import { type Config, findMisspeltSettings } from '../config.ts'
import type { Database } from '../context.ts'
import { closeDatabase, connectDatabase } from '../database/client.ts'
import { describeDatabaseUrl } from '../database/error-descriptions.ts'
import { isListening, openDatabase } from '../runtime/node/startup.ts'
import { CommandError, describeCommandError } from './command-error.ts'

/** Writes a line to standard output. */
export const printLine = (line: string) => process.stdout.write(`${line}\n`)

/** Runs a command to its end and ends the process: 1 with a sentence where it failed. */
export async function runCommand(command: () => Promise<number | undefined>): Promise<never> {
  try {
    process.exit((await command()) ?? 0)
  } catch (error) {
    process.stderr.write(`${describeCommandError(error)}\n`)
    process.exit(1)
  }
}

/** What a sentence may call the database: never a URL, which holds a password. */
const nameConfiguredDatabase = (config: Config) =>
  config.DATABASE_URL ? describeDatabaseUrl(config.DATABASE_URL) : `the embedded database in ${config.DATA_DIR}`

/** `lost` tells when the process that serves a joined database has ended. */
export type CommandDatabase = {
  url: string
  appliedCount: number
  db: Database
  description: string
  lost: AbortSignal
}

/** How long a server may take to answer the first time, in ms. The driver itself may wait for ever. */
const firstAnswerTimeoutMs = 15_000

async function assertReachable(db: Database): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(Object.assign(new Error('no answer'), { code: 'CONNECT_TIMEOUT' })),
      firstAnswerTimeoutMs,
    )
  })
  await Promise.race([db.execute(sql`select 1`), limit]).finally(() => clearTimeout(timer))
}

/**
 * Opens the database that the settings name, joining one that runs, and closes it when `work` is done.
 * @throws {CommandError} a sentence where the database is the reason
 */
export async function withDatabase<T>(config: Config, work: (database: CommandDatabase) => Promise<T>): Promise<T> {
  for (const sentence of findMisspeltSettings(process.env)) process.stderr.write(`${sentence}\n`)
  const name = nameConfiguredDatabase(config)
  const { url, appliedCount, isJoined, stop } = await openDatabase(config, { share: true }).catch((error: unknown) => {
    throw CommandError.fromDatabaseError(error, name)
  })
  const db = connectDatabase(url, { maxConnections: 1, prepare: config.DATABASE_PREPARE })
  const losing = new AbortController()
  const watch = setInterval(async () => {
    if (!isJoined || losing.signal.aborted || (await isListening(url))) return
    process.stderr.write(`The process that served ${name} has ended.\n`)
    losing.abort()
  }, 1000)
  try {
    await assertReachable(db)
    return await work({ url, appliedCount, db, description: name, lost: losing.signal })
  } catch (error) {
    throw CommandError.fromDatabaseError(error, name)
  } finally {
    clearInterval(watch)
    await closeDatabase(db, 1)
    await stop()
  }
}
