import { is, type SQL } from 'drizzle-orm'
import { PgColumn, type PgTable } from 'drizzle-orm/pg-core'

/** What is not told as a change: it is the row's own, or said by the entry itself. */
const unauditedColumns = new Set(['id', 'createdAt', 'updatedAt', 'createdBy'])

/** The columns of `table` whose changes the audit log tells: those that the API shows, by their names in it, and the deletion. */
export function getAuditedColumns(
  table: PgTable & { deletedAt?: PgColumn },
  jsonColumns: Record<string, PgColumn | SQL>,
): Record<string, PgColumn> {
  const shown = Object.entries(jsonColumns).flatMap(([key, column]) =>
    is(column, PgColumn) && !unauditedColumns.has(key) ? [[key, column] as const] : [],
  )
  return { ...Object.fromEntries(shown), ...(table.deletedAt && { deletedAt: table.deletedAt }) }
}
