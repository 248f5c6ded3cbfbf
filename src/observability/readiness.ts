import { sql } from 'drizzle-orm'
import journal from '../../drizzle/meta/_journal.json' with { type: 'json' }
import type { DatabaseOrTransaction, Logger } from '../context.ts'
import { describeDatabaseError } from '../database/error-descriptions.ts'
import { Problem } from '../http/problem.ts'

/** The newest migration that this code was written for, as drizzle-kit and the database both know it. */
const newestMigrationMs = Math.max(0, ...journal.entries.map((entry) => entry.when))

/** What the service needs of the database: that it takes writes, and that its schema is that of this code or newer. */
const queryReadiness = (db: DatabaseOrTransaction) =>
  db.execute<{ migrated: boolean; writable: boolean }>(sql`select max(created_at) >= ${newestMigrationMs} as migrated,
    not pg_is_in_recovery() and current_setting('transaction_read_only') = 'off' as writable from drizzle.__drizzle_migrations`)

/** The tables that are asked are not there: no migration ever ran. */
const notMigratedCodes = /^(42P01|3F000)$/

const notReadyProblem = (detail: string, cause?: unknown) =>
  new Problem('unavailable', { detail, cause, headers: { 'Retry-After': '5' } })

/** @throws {Problem} 503 where the database is away, takes no writes or is not migrated. It says why, and names nothing. */
export async function assertReady(db: DatabaseOrTransaction): Promise<void> {
  const [row] = await queryReadiness(db).catch((cause: unknown) => {
    const reason = describeDatabaseError(cause, 'the database')
    if (!reason) throw cause
    if (notMigratedCodes.test(reason.code)) throw notReadyProblem('The database is not migrated.', cause)
    if (reason.code === '3D000') throw notReadyProblem('The database does not exist (3D000).', cause)
    throw notReadyProblem(reason.sentence, cause)
  })
  if (!row?.migrated) throw notReadyProblem('The database is not migrated.')
  if (!row.writable) throw notReadyProblem('The database takes no writes: it is a standby, or read-only.')
}

/** How long an answer holds, in ms. */
const readinessCacheMs = 5000
/** How long the database may take to answer, in ms: a scrape of several processes waits a second for each. */
const answerTimeoutMs = 500

/** Tells whether {@link assertReady} holds, and asks the database no more than every 5 seconds, however often it is called. */
export function createReadinessCheck(db: DatabaseOrTransaction): () => Promise<boolean> {
  let answer: Promise<boolean> | undefined
  let askedAt = 0
  return () => {
    if (answer && performance.now() - askedAt < readinessCacheMs) return answer
    askedAt = performance.now()
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const late = setTimeout(() => resolve(false), answerTimeoutMs)
    assertReady(db)
      .then(
        () => resolve(true),
        () => resolve(false),
      )
      .finally(() => clearTimeout(late))
    answer = promise
    return promise
  }
}

/** How often a process looks whether its database is there, in ms. */
const watchIntervalMs = 5000

/**
 * Says in the log, at the start and where that changes, why the database of this `name` cannot be used, and when it can be
 * again. Stops when what is returned is called.
 */
export function logReadinessChanges(db: DatabaseOrTransaction, name: string, log: Logger): () => void {
  let said: string | undefined
  const look = async () => {
    const fault = await assertReady(db).then(
      () => undefined,
      (error: unknown) => {
        const cause = error instanceof Problem ? (error.cause ?? error) : error
        const detail = error instanceof Problem ? error.details.detail : 'The database cannot be used.'
        return describeDatabaseError(cause, name)?.sentence ?? `${detail} That is ${name}.`
      },
    )
    if (fault === said) return
    if (fault) log.error({ msg: `${fault} Requests are answered 503 until that is mended; it is tried again.` })
    else log.info({ msg: `The database can be used again: ${name}.` })
    said = fault
  }
  void look()
  const timer = setInterval(() => void look(), watchIntervalMs)
  timer.unref()
  return () => clearInterval(timer)
}
