import { getTableName, sql } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import { type AuditedRecord, auditEntryCte } from '../../audit/entry-cte.ts'
import type { DatabaseOrTransaction } from '../../context.ts'
import { columnListSql, toDatabaseNames } from '../../database/query/write-sql.ts'
import { describeCommand } from '../accounts.ts'

/** A row of made-up data, by the names of its columns in the source. */
export type DemoRow = Record<string, unknown> & { id: string }

/**
 * Inserts those of `rows` that are not there yet, with their audit entries, as if the administrator `by` had made each: in one
 * statement, whose rows are one parameter. Tells how many were new.
 */
export async function insertAudited(
  db: DatabaseOrTransaction,
  table: PgTable & { id: PgColumn },
  rows: DemoRow[],
  by: string,
  auditOptions: AuditedRecord,
): Promise<number> {
  const names = columnListSql(table)
  const json = JSON.stringify(rows.map((row) => toDatabaseNames(table, row)))
  const inserted = db.$with(getTableName(table), {}).as(sql`insert into ${table} (${names})
    select ${names} from json_populate_recordset(null::${table}, ${json}::json) on conflict do nothing returning *`)
  const auditEntries = auditEntryCte(db, {
    ...auditOptions,
    change: 'created',
    from: sql`${table}`,
    entryId: sql`gen_random_uuid()`,
    action: sql`${`${auditOptions.resource}.create`}`,
  })
  const made = await db
    .with(inserted, auditEntries)
    .select({ id: table.id })
    .from(table)
    .prepare('demo')
    .execute({ ...describeCommand('db:seed'), currentUserId: by, role: 'admin' })
  return made.length
}

/** A record as it is after it was made. */
export const withFirstVersion = <T extends { createdAt: Date }>(record: T) => ({
  ...record,
  updatedAt: record.createdAt,
  version: 1,
})
