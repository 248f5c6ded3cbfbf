import { getTableColumns, sql } from 'drizzle-orm'
import { patientIdOfRecordSql } from '../access/visibility.ts'
import type { AuditEntry, AuditWriter, DatabaseOrTransaction, Logger } from '../context.ts'
import { isRowRejected } from '../database/errors.ts'
import { newId } from '../database/id.ts'
import { preparedStatement } from '../database/query/prepared-statement.ts'
import { auditLog } from './schema.ts'

const { placeholder } = sql

/** Of a refused record the process does not know whose it is: the database says which patient's. */
const entryPatientIdSql = sql`coalesce(entry.patient_id,
  case when entry.action = 'auth.denied' then ${patientIdOfRecordSql(sql`entry.resource_id`)} end)`

const entryColumnsSql = sql.join(
  Object.values(getTableColumns(auditLog)).map((column) =>
    column === auditLog.patientId ? entryPatientIdSql : sql`entry.${sql.identifier(column.name)}`,
  ),
  sql`, `,
)

/** A batch whose answer was lost is sent again: what was written of it stays as it is. */
const insertEntriesStatement = preparedStatement((db: DatabaseOrTransaction) =>
  db
    .insert(auditLog)
    .select(
      sql`select ${entryColumnsSql} from jsonb_populate_recordset(null::${auditLog}, ${placeholder('rows')}::jsonb) as entry`,
    )
    .onConflictDoNothing()
    .prepare('audit_insert'),
)

/** An entry as the JSON of its row: text, since thousands of objects that wait are work for the garbage collector. */
const toEntryJson = (entry: AuditEntry): string =>
  JSON.stringify({
    id: newId(),
    at: new Date().toISOString(),
    user_id: entry.userId,
    role: entry.role,
    action: entry.action,
    resource: entry.resource,
    resource_id: entry.resourceId,
    patient_id: entry.patientId,
    patient_ids: entry.patientIds,
    status: entry.status,
    ip: entry.ip,
    user_agent: entry.userAgent,
    request_id: entry.requestId,
  })

const countCharacters = (rows: readonly string[]) => rows.reduce((sum, row) => sum + row.length, 0)

/** Entries of one statement: so many are not kept waiting for the next flush. */
const maxBatchEntries = 200

/** Entries kept while the database is away. Beyond, nothing is shown that would leave one. */
const maxPendingEntries = 10_000

/** And so many characters of them: the list of a busy doctor's calendar names thousands of patients. */
const maxPendingCharacters = 32 * 1024 * 1024

/** What requests under way may add to that. Beyond, the oldest are dropped and the loss is logged. */
const maxKeptEntries = 2 * maxPendingEntries

/**
 * Writes entries `flushDelayMs` after the first that waits, and again after as long where that has failed. Without a delay
 * it writes full batches alone, and the rest when it is told to flush.
 */
export function createAuditWriter(db: DatabaseOrTransaction, log: Logger, flushDelayMs?: number): AuditWriter {
  let pending: string[] = []
  let pendingCharacters = 0
  let inFlightCount = 0
  let lostCount = 0
  let lastWrite = Promise.resolve(0)
  let flushTimer: ReturnType<typeof setTimeout> | undefined

  const scheduleFlush = () => {
    if (flushDelayMs !== undefined) flushTimer ??= setTimeout(flush, flushDelayMs)
  }
  const cancelFlush = () => {
    clearTimeout(flushTimer)
    flushTimer = undefined
  }

  /** Writes rows, but for those that the database refuses: it would refuse them for ever. */
  const insertRows = async (rows: string[]): Promise<void> => {
    try {
      await insertEntriesStatement(db, {}).execute({ rows: `[${rows.join(',')}]` })
    } catch (error) {
      // Whatever else it is may pass: only what is wrong with an entry itself costs it.
      if (!isRowRejected(error)) throw error
      if (rows.length === 1) {
        lostCount += 1
        return log.error({ msg: 'an audit entry was refused', lost: 1, err: error })
      }
      const half = rows.length >> 1
      await insertRows(rows.slice(0, half))
      await insertRows(rows.slice(half))
    }
  }

  /** Takes so many of the oldest out. */
  const shiftPending = (count: number): string[] => {
    const rows = pending.splice(0, count)
    pendingCharacters -= countCharacters(rows)
    return rows
  }

  /** Writes while at least so many wait. Resolves to how many still do. */
  const writePending = async (minCount: number): Promise<number> => {
    while (pending.length >= minCount) {
      const rows = shiftPending(maxBatchEntries)
      inFlightCount = rows.length
      try {
        await insertRows(rows)
      } catch (error) {
        pending = [...rows, ...pending]
        pendingCharacters += countCharacters(rows)
        const dropped = shiftPending(Math.max(0, pending.length - maxKeptEntries)).length
        lostCount += dropped
        log.error({ msg: 'audit entries could not be written yet', waiting: pending.length, lost: dropped, err: error })
        scheduleFlush()
        break
      } finally {
        inFlightCount = 0
      }
    }
    return pending.length
  }
  const flush = () => {
    cancelFlush()
    lastWrite = lastWrite.then(() => writePending(1))
    return lastWrite
  }
  return {
    get pendingCount() {
      return pending.length + inFlightCount
    },
    get isFull() {
      return pending.length >= maxPendingEntries || pendingCharacters >= maxPendingCharacters
    },
    get lostCount() {
      return lostCount
    },
    enqueue(entry) {
      const row = toEntryJson(entry)
      pending.push(row)
      pendingCharacters += row.length
      if (pending.length === maxBatchEntries) lastWrite = lastWrite.then(() => writePending(maxBatchEntries))
      scheduleFlush()
    },
    flush,
    async writeRows(rows) {
      try {
        for (let at = 0; at < rows.length; at += maxBatchEntries) await insertRows(rows.slice(at, at + maxBatchEntries))
        return true
      } catch {
        return false
      }
    },
    takePending() {
      cancelFlush()
      return shiftPending(pending.length)
    },
    countLost(entries) {
      lostCount += entries
    },
  }
}

/** How often the last flush is tried, a second apart. */
const maxFlushAttempts = 3

/**
 * Flushes before the connections are closed. While the database is away it tries again; what then remains is kept by
 * `saveRows`, which says where, for the next start, or else is lost.
 */
export async function flushAtShutdown(
  auditWriter: AuditWriter,
  log: Logger,
  saveRows?: (rows: string[]) => Promise<string>,
): Promise<void> {
  let leftCount = await auditWriter.flush()
  for (let attempts = 1; leftCount > 0 && attempts < maxFlushAttempts; attempts += 1) {
    await new Promise((resolve) => setTimeout(resolve, 1000))
    leftCount = await auditWriter.flush()
  }
  const rows = auditWriter.takePending()
  if (rows.length === 0) return
  try {
    if (!saveRows) throw new Error('there is no place to keep them')
    const file = await saveRows(rows)
    log.warn({ msg: 'audit entries are kept for the next start', entries: rows.length, file })
  } catch (err) {
    auditWriter.countLost(rows.length)
    log.error({ msg: 'audit entries were lost', lost: rows.length, err })
  }
}
