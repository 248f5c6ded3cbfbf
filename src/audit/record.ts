import { getTableColumns, type SQL, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { Caller } from '../access/can.ts'
import { patientOf } from '../access/patient-of.ts'
import type { Db } from '../db/client.ts'
import { isRefusedRow } from '../db/failure.ts'
import { prepared } from '../db/prepared.ts'
import type { Log } from '../http/log.ts'
import { newId } from '../id.ts'
import { audit, type Changes } from './schema.ts'

const { placeholder } = sql

/** Whose data an entry is about. A list of patients' data names all of them. */
export type Subject = { resourceId?: string | undefined; patientId?: string | undefined; patientIds?: string[] }

/** Who did it, from where. */
export type Actor = {
  userId: string | null
  role: string | null
  ip: string
  userAgent: string | null
  requestId: string
}

/** One row of the trail, as it is written behind an answer. */
export type Entry = Actor & Subject & { action: string; resource: string; status: number }

type Sender = Pick<Actor, 'ip' | 'userAgent' | 'requestId'>

/** The parameters of a statement with a {@link trail} whose actor and action the statement knows itself. */
export const sent = ({ ip, userAgent, requestId }: Sender, status: number) => ({
  auditId: newId(),
  status,
  ip,
  userAgent,
  requestId,
})

/** The parameters of a statement with a {@link trail}. */
export const signed = (caller: Caller, status: number) => ({
  ...sent(caller, status),
  me: caller.id,
  role: caller.role,
  action: caller.action,
  match: caller.match,
})

type Fields = Record<string, PgColumn>
const object = (fields: Fields, value: (column: PgColumn) => SQL): SQL =>
  sql`jsonb_build_object(${sql.join(
    Object.entries(fields).map(([key, column]) => sql`${sql.raw(`'${key}'`)}, ${value(column)}`),
    sql`, `,
  )})`
const before = (fields: Fields) => object(fields, (column) => sql`before.${sql.identifier(column.name)}`)
const after = (fields: Fields) => object(fields, (column) => sql`${column}`)
const none = sql`null`

const collected = (old: SQL, now: SQL, rows: SQL) =>
  sql`(select coalesce(jsonb_object_agg(field, jsonb_build_object('before', ${old}, 'after', ${now})), '{}') from ${rows})`

/**
 * What differs between a row as it was, which stands in `before`, and as it is, as { field: { before, after } }. Not a
 * function in the database: PostgreSQL would plan its body anew for each statement.
 */
export const differences = {
  created: (fields: Fields) =>
    collected(none, sql`value`, sql`jsonb_each(${after(fields)}) as new (field, value) where value <> 'null'`),
  deleted: (fields: Fields) =>
    collected(sql`value`, none, sql`jsonb_each(${before(fields)}) as old (field, value) where value <> 'null'`),
  changed: (fields: Fields) =>
    collected(
      sql`old.value`,
      sql`new.value`,
      sql`jsonb_each(${before(fields)}) as old (field, value) join jsonb_each(${after(fields)}) as new (field, value)
        using (field) where old.value <> new.value`,
    ),
}

type Change = {
  resource: string
  /** The columns whose change is told, by their names in the API. Never one with a secret. */
  fields?: Fields
  /** What happened to the rows: whether there is a row as it was, which stands in `before`, and one as it is now. */
  changes: keyof typeof differences
  /** Where the rows stand. */
  rows: SQL
  resourceId: PgColumn | SQL
  patientId?: PgColumn | SQL | undefined
  /** Where the statement itself finds out who acts, and what it comes to. */
  userId?: PgColumn
  role?: PgColumn | SQL
  action?: SQL
}

/** A common table expression that writes a change's row of the trail: in the change's own statement, so both commit or neither. */
export const trail = (
  db: Db,
  { resource, fields, changes, rows, resourceId, patientId, userId, role, action }: Change,
) => {
  const told = fields ? differences[changes](fields) : none
  return db.$with('trail', {}).as(sql`insert into ${audit}
    (id, user_id, role, action, resource, resource_id, patient_id, status, ip, user_agent, request_id, changes)
    select ${placeholder('auditId')}::uuid, ${userId ?? sql`${placeholder('me')}::uuid`}, ${role ?? placeholder('role')}, ${action ?? placeholder('action')}, ${sql.raw(`'${resource}'`)},
      ${resourceId}, ${patientId ?? sql`null::uuid`}, ${placeholder('status')}::smallint, ${placeholder('ip')}, ${placeholder('userAgent')}, ${placeholder('requestId')},
      ${told}
    from ${rows}`)
}

/** Of a refused record the process does not know whose it is: the database says which patient's. */
const patientId = sql`coalesce(entry.patient_id,
  case when entry.action = 'auth.denied' then ${patientOf(sql`entry.resource_id`)} end)`
const columns = sql.join(
  Object.values(getTableColumns(audit)).map((column) =>
    column === audit.patientId ? patientId : sql`entry.${sql.identifier(column.name)}`,
  ),
  sql`, `,
)

/** A batch whose answer was lost is sent again: what was written of it stays as it is. */
const insertEntries = prepared((db: Db) =>
  db
    .insert(audit)
    .select(
      sql`select ${columns} from jsonb_populate_recordset(null::${audit}, ${placeholder('rows')}::jsonb) as entry`,
    )
    .onConflictDoNothing()
    .prepare('audit_insert'),
)

/** Writes one entry now: within the transaction of the change that it tells of. */
export const record = (db: Pick<Db, 'insert'>, entry: Entry & { changes?: Changes }) =>
  db.insert(audit).values({ ...entry, id: newId() })

/** Takes entries that need not delay an answer, and writes them in batches. */
export type Audit = {
  /** Never waits and never fails. */
  add(entry: Entry): void
  /** How many entries are still to be written. */
  readonly backlog: number
  /** Whether so many are that no further may be made: nothing is shown then that would leave one. */
  readonly isFull: boolean
  /** How many were not written and never will be. */
  readonly lost: number
  /** Resolves when what was added before is written, or has failed: to how many entries wait for the next time. */
  flush(): Promise<number>
  /** Writes rows as {@link Audit.takePending} gave them, once each, however often. Resolves to whether the database took them. */
  write(rows: readonly string[]): Promise<boolean>
  /** Gives away what still waits, as JSON. */
  takePending(): string[]
  /** Counts entries that are given up. */
  giveUp(entries: number): void
}

/** An entry as the JSON of its row: text, since thousands of objects that wait are work for the garbage collector. */
const rowOf = (entry: Entry): string =>
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

/** Entries of one statement: so many are not kept waiting for the next flush. */
const batch = 200
/** Entries kept while the database is away. Beyond, nothing is shown that would leave one. */
const fullAt = 10_000
/** What requests under way may add to that. Beyond, the oldest are dropped and the loss is logged. */
const most = 2 * fullAt

/**
 * The trail's writer. `schedule` is called when there is something to write, also when that has just failed; what it
 * has scheduled already is up to it.
 */
export function auditLog(db: Db, log: Log, schedule: () => void): Audit {
  let waiting: string[] = []
  let underWay = 0
  let lost = 0
  let writing = Promise.resolve(0)

  /** Writes rows, but for those that the database refuses: it would refuse them for ever. */
  const insert = async (rows: string[]): Promise<void> => {
    try {
      await insertEntries(db, {}).execute({ rows: `[${rows.join(',')}]` })
    } catch (error) {
      // Whatever else it is may pass: only what is wrong with an entry itself costs it.
      if (!isRefusedRow(error)) throw error
      if (rows.length === 1) {
        lost += 1
        return log.error({ msg: 'an audit entry was refused', lost: 1, err: error })
      }
      const half = rows.length >> 1
      await insert(rows.slice(0, half))
      await insert(rows.slice(half))
    }
  }

  /** Writes while at least so many wait. Resolves to how many still do. */
  const write = async (least: number): Promise<number> => {
    while (waiting.length >= least) {
      const rows = waiting.splice(0, batch)
      underWay = rows.length
      try {
        await insert(rows)
      } catch (error) {
        waiting = [...rows, ...waiting]
        const dropped = waiting.splice(0, Math.max(0, waiting.length - most)).length
        lost += dropped
        log.error({ msg: 'audit entries could not be written yet', waiting: waiting.length, lost: dropped, err: error })
        schedule()
        break
      } finally {
        underWay = 0
      }
    }
    return waiting.length
  }
  return {
    get backlog() {
      return waiting.length + underWay
    },
    get isFull() {
      return waiting.length >= fullAt
    },
    get lost() {
      return lost
    },
    add(entry) {
      waiting.push(rowOf(entry))
      if (waiting.length === batch) writing = writing.then(() => write(batch))
      schedule()
    },
    flush() {
      writing = writing.then(() => write(1))
      return writing
    },
    async write(rows) {
      try {
        for (let at = 0; at < rows.length; at += batch) await insert(rows.slice(at, at + batch))
        return true
      } catch {
        return false
      }
    },
    takePending: () => waiting.splice(0),
    giveUp(entries) {
      lost += entries
    },
  }
}

/** How often the last flush is tried, a second apart. */
const tries = 3

/**
 * Flushes before the connections are closed. While the database is away it tries again; what then remains is kept by
 * `keep`, which says where, for the next start, or else is lost.
 */
export async function lastFlush(audit: Audit, log: Log, keep?: (rows: string[]) => Promise<string>): Promise<void> {
  let left = await audit.flush()
  for (let tried = 1; left > 0 && tried < tries; tried += 1) {
    await new Promise((resolve) => setTimeout(resolve, 1000))
    left = await audit.flush()
  }
  const rows = audit.takePending()
  if (rows.length === 0) return
  try {
    if (!keep) throw new Error('there is no place to keep them')
    const file = await keep(rows)
    log.warn({ msg: 'audit entries are kept for the next start', entries: rows.length, file })
  } catch (err) {
    audit.giveUp(rows.length)
    log.error({ msg: 'audit entries were lost', lost: rows.length, err })
  }
}
