import { sql } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import { auditLog } from '../../audit/schema.ts'
import type { DatabaseOrTransaction } from '../../context.ts'
import { newId } from '../../database/id.ts'
import { columnListSql, toDatabaseNames } from '../../database/query/write-sql.ts'
import { commandActor, createdChanges } from '../accounts.ts'

/** A row of made-up data, by the names of its columns in the source. */
export type DemoRow = Record<string, unknown> & { id: string }

/** Inserts `rows` in one statement of one parameter. Returns the ids of those that were not there yet. */
async function insertNew(
  db: DatabaseOrTransaction,
  table: PgTable & { id: PgColumn },
  rows: DemoRow[],
): Promise<Set<string>> {
  const names = columnListSql(table)
  const json = JSON.stringify(rows.map((row) => toDatabaseNames(table, row)))
  const inserted = await db.execute<{ id: string }>(sql`insert into ${table} (${names})
    select ${names} from json_populate_recordset(null::${table}, ${json}::json) on conflict do nothing returning id`)
  return new Set(inserted.map(({ id }) => id))
}

type AuditedInsertOptions = {
  resource: string
  by: string
  patientId: (row: DemoRow) => unknown
}
const unauditedFields = new Set(['id', 'createdAt', 'updatedAt', 'createdBy', 'version'])

/** Inserts records and their rows of the trail, as if the administrator had made each. Tells how many were new. */
export async function insertAudited(
  db: DatabaseOrTransaction,
  table: PgTable & { id: PgColumn },
  rows: DemoRow[],
  { resource, by, patientId }: AuditedInsertOptions,
) {
  const made = await insertNew(db, table, rows)
  const auditEntries = rows
    .filter(({ id }) => made.has(id))
    .map((row) => ({
      ...commandActor('db:seed'),
      id: newId(),
      at: new Date(),
      userId: by,
      role: 'admin',
      action: `${resource}.create`,
      resource,
      resourceId: row.id,
      patientId: patientId(row),
      changes: createdChanges(Object.fromEntries(Object.entries(row).filter(([field]) => !unauditedFields.has(field)))),
    }))
  await insertNew(db, auditLog, auditEntries)
  return made.size
}

/** A record as it is after it was made. */
export const withFirstVersion = <T extends { createdAt: Date }>(record: T) => ({
  ...record,
  updatedAt: record.createdAt,
  version: 1,
})
