import { type SQL, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type {
  AuditActor,
  AuditEntry,
  ClientInfo,
  DatabaseOrTransaction,
  Principal,
  RequestContext,
} from '../context.ts'
import { newId } from '../database/id.ts'
import { type AuditChanges, auditLog } from './schema.ts'

const { placeholder } = sql

/** The parameters of a statement with a {@link auditEntryCte} whose actor and action the statement knows itself. */
export const auditParamsWithoutActor = ({ ip, userAgent, requestId }: ClientInfo, status: number) => ({
  auditId: newId(),
  status,
  ip,
  userAgent,
  requestId,
})

/** Who is signed in, as an entry names them. */
export const toAuditActor = ({ id, role }: Principal, client: ClientInfo): AuditActor => ({
  ...client,
  userId: id,
  role,
})

/** The parameters of a statement with a {@link auditEntryCte}. */
export const auditParams = ({ principal, action, client }: RequestContext, status: number) => ({
  ...auditParamsWithoutActor(client, status),
  currentUserId: principal.id,
  role: principal.role,
  action,
})

type AuditedColumns = Record<string, PgColumn>
const jsonObjectSql = (fields: AuditedColumns, value: (column: PgColumn) => SQL): SQL =>
  sql`jsonb_build_object(${sql.join(
    Object.entries(fields).map(([key, column]) => sql`${sql.raw(`'${key}'`)}, ${value(column)}`),
    sql`, `,
  )})`
const beforeValuesSql = (fields: AuditedColumns) =>
  jsonObjectSql(fields, (column) => sql`before.${sql.identifier(column.name)}`)
const afterValuesSql = (fields: AuditedColumns) => jsonObjectSql(fields, (column) => sql`${column}`)
const nullSql = sql`null`

const collectDiffSql = (old: SQL, now: SQL, rows: SQL) =>
  sql`(select coalesce(jsonb_object_agg(field, jsonb_build_object('before', ${old}, 'after', ${now})), '{}') from ${rows})`

/**
 * What differs between a row as it was, which stands in `before`, and as it is, as { field: { before, after } }. Not a
 * function in the database: PostgreSQL would plan its body anew for each statement.
 */
const auditDiffSql = {
  created: (fields: AuditedColumns) =>
    collectDiffSql(
      nullSql,
      sql`value`,
      sql`jsonb_each(${afterValuesSql(fields)}) as new (field, value) where value <> 'null'`,
    ),
  deleted: (fields: AuditedColumns) =>
    collectDiffSql(
      sql`value`,
      nullSql,
      sql`jsonb_each(${beforeValuesSql(fields)}) as old (field, value) where value <> 'null'`,
    ),
  changed: (fields: AuditedColumns) =>
    collectDiffSql(
      sql`old.value`,
      sql`new.value`,
      sql`jsonb_each(${beforeValuesSql(fields)}) as old (field, value) join jsonb_each(${afterValuesSql(fields)}) as new (field, value)
        using (field) where old.value <> new.value`,
    ),
}

/** What the audit log tells of records of one kind. */
export type AuditedRecord = {
  resource: string
  /** The columns whose change is told, by their names in the API. Never one with a secret. */
  auditedColumns?: AuditedColumns
  resourceId: PgColumn | SQL
  patientId?: PgColumn | SQL | undefined
}

type AuditEntryCteOptions = AuditedRecord & {
  /** What happened to the rows: whether there is a row as it was, which stands in `before`, and one as it is now. */
  change: keyof typeof auditDiffSql
  /** Where the rows stand. */
  from: SQL
  /** The ids of the entries, where there may be several rows. */
  entryId?: SQL
  /** Where the statement itself finds out who acts, and what it comes to. */
  userId?: PgColumn
  role?: PgColumn | SQL
  action?: SQL
}

/**
 * A common table expression that writes the entry of a change, in the change's own statement, so that both commit or neither.
 * The new rows stand in a common table expression of the table's own name, so that its columns mean the row as it is now:
 *
 * ```sql
 * with before as (select * from patients where id = $1 and (…scope, If-Match…) for no key update),
 *   patients as (update patients set (…) = (…$2…) from before where patients.id = before.id returning patients.*),
 *   trail as (insert into audit (…) select …, 'patient', patients.id, …, (…what differs…) from before, patients)
 * select … from patients
 * ```
 */
export const auditEntryCte = (
  db: DatabaseOrTransaction,
  {
    resource,
    auditedColumns,
    change,
    from,
    entryId,
    resourceId,
    patientId,
    userId,
    role,
    action,
  }: AuditEntryCteOptions,
  cteName = 'trail',
) => {
  const changesSql = auditedColumns ? auditDiffSql[change](auditedColumns) : nullSql
  return db.$with(cteName, {}).as(sql`insert into ${auditLog}
    (id, user_id, role, action, resource, resource_id, patient_id, status, ip, user_agent, request_id, changes)
    select ${entryId ?? sql`${placeholder('auditId')}::uuid`}, ${userId ?? sql`${placeholder('currentUserId')}::uuid`}, ${role ?? placeholder('role')}, ${action ?? placeholder('action')}, ${sql.raw(`'${resource}'`)},
      ${resourceId}, ${patientId ?? sql`null::uuid`}, ${placeholder('status')}::smallint, ${placeholder('ip')}, ${placeholder('userAgent')}, ${placeholder('requestId')},
      ${changesSql}
    from ${from}`)
}

/** Writes one entry now: within the transaction of the change that it tells of. */
export const insertAuditEntry = (
  db: Pick<DatabaseOrTransaction, 'insert'>,
  entry: AuditEntry & { changes?: AuditChanges },
) => db.insert(auditLog).values({ ...entry, id: newId() })
