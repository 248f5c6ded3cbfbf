import { eq, type SQL, sql } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import type { DatabaseOrTransaction } from '../context.ts'
import { auditEntryCte } from './entry-cte.ts'

type AuditedDeleteOptions = {
  resource: string
  /** The columns that the entry tells of the row, by their names in the API. */
  auditedColumns: Record<string, PgColumn>
  /** Selects and locks the rows to delete, where the caller may. */
  before: SQL
}

/**
 * Deletes rows of `table`, which are about a patient, for good, and writes the entry: one statement, with the parameters of
 * `auditParams` and those of `before`. It returns the ids of what is gone.
 */
export function auditedDelete(
  db: DatabaseOrTransaction,
  table: PgTable & { id: PgColumn; patientId: PgColumn },
  { resource, auditedColumns, before: lockedRows }: AuditedDeleteOptions,
) {
  const inBefore = (column: PgColumn) => sql<string>`before.${sql.identifier(column.name)}`
  const [id, patientId] = [inBefore(table.id), inBefore(table.patientId)]
  const before = db.$with('before', {}).as(lockedRows)
  const deletedRows = db.$with('gone', {}).as(sql`delete from ${table} using before where ${eq(table.id, id)}`)
  const auditEntry = auditEntryCte(db, {
    resource,
    auditedColumns,
    change: 'deleted',
    from: sql`before`,
    resourceId: id,
    patientId,
  })
  return db.with(before, deletedRows, auditEntry).select({ id }).from(sql`before`).prepare('delete')
}
