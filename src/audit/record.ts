import { type SQL, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import { v7 as uuid } from 'uuid'
import type { Caller } from '../access/can.ts'
import type { Db } from '../db/client.ts'
import { databaseProblem } from '../db/failure.ts'
import { prepared } from '../db/prepared.ts'
import { columnsOf, namesOf } from '../db/write.ts'
import type { Log } from '../http/log.ts'
import { audit } from './schema.ts'

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
  auditId: uuid(),
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

type Change = {
  resource: string
  /** The columns whose change is told, by their names in the API. Never one with a secret. */
  fields?: Fields
  /** What happened to the rows: whether there is a row as it was, which stands in `before`, and one as it is now. */
  changes: 'created' | 'changed' | 'deleted'
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
  const told = fields
    ? sql`changed_fields(${changes === 'created' ? none : before(fields)}, ${changes === 'deleted' ? none : after(fields)})`
    : none
  return db.$with('trail', {}).as(sql`insert into ${audit}
    (id, user_id, role, action, resource, resource_id, patient_id, status, ip, user_agent, request_id, changes)
    select ${placeholder('auditId')}::uuid, ${userId ?? sql`${placeholder('me')}::uuid`}, ${role ?? placeholder('role')}, ${action ?? placeholder('action')}, ${sql.raw(`'${resource}'`)},
      ${resourceId}, ${patientId ?? sql`null::uuid`}, ${placeholder('status')}::smallint, ${placeholder('ip')}, ${placeholder('userAgent')}, ${placeholder('requestId')},
      ${told}
    from ${rows}`)
}

const insertEntries = prepared((db: Db) =>
  db
    .insert(audit)
    .select(sql`select ${namesOf(audit)} from jsonb_populate_recordset(null::${audit}, ${placeholder('rows')}::jsonb)`)
    .prepare('audit_insert'),
)

/** Writes one entry now: within the transaction of the change that it tells of. */
export const record = (db: Pick<Db, 'insert'>, entry: Entry) => db.insert(audit).values({ ...entry, id: uuid() })

/** Takes entries that need not delay an answer, and writes them in batches. */
export type Audit = {
  /** Never waits and never fails. */
  add(entry: Entry): void
  /** How many entries are still to be written. */
  readonly backlog: number
  /** Resolves when what was added before is written, or has failed and been kept for the next time. */
  flush(): Promise<void>
}

/** Entries kept while the database is away; beyond, the oldest are dropped and the loss is logged. */
const most = 10_000

/**
 * The trail's writer. `schedule` is called when there is something to write and nothing scheduled.
 */
export function auditLog(db: Db, log: Log, schedule: () => void): Audit {
  let waiting: Record<string, unknown>[] = []
  let underWay = 0
  let writing: Promise<void> = Promise.resolve()
  const write = async () => {
    const rows = waiting.splice(0, 1000)
    if (rows.length === 0) return
    underWay = rows.length
    try {
      await insertEntries(db, {}).execute({ rows: JSON.stringify(rows) })
    } catch (error) {
      // What the database refuses, it would refuse for ever.
      if (databaseProblem(error)?.type === 'unavailable') waiting = [...rows, ...waiting]
      const lost = waiting.splice(0, Math.max(0, waiting.length - most)).length
      log.error({ msg: 'audit entries could not be written yet', waiting: waiting.length, lost, err: error })
      return
    } finally {
      underWay = 0
    }
    if (waiting.length > 0) await write()
  }
  return {
    get backlog() {
      return waiting.length + underWay
    },
    add(entry) {
      waiting.push(columnsOf(audit, { ...entry, id: uuid(), at: new Date() }))
      schedule()
    },
    flush() {
      writing = writing.then(write)
      return writing
    },
  }
}
