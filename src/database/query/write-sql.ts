import { getTableColumns, type SQL, sql } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'

type ColumnFilter = (column: PgColumn) => boolean

/** The table's columns as a list in SQL: those that `isIncluded` says, without the computed ones. */
export const columnListSql = (table: PgTable, isIncluded: ColumnFilter = () => true): SQL => {
  const columns = Object.values(getTableColumns(table)).filter((column) => !column.generated && isIncluded(column))
  return sql.join(
    columns.map((column) => sql.identifier(column.name)),
    sql`, `,
  )
}

const columnNamesByTable = new WeakMap<PgTable, Map<string, string>>()

/** What the table's columns are called in it, by their keys. Looked up for every row that is written. */
function getColumnNames(table: PgTable): Map<string, string> {
  const known = columnNamesByTable.get(table)
  if (known) return known
  const names = new Map(Object.entries(getTableColumns(table)).map(([key, column]) => [key, column.name]))
  columnNamesByTable.set(table, names)
  return names
}

/** `{ dateOfBirth: '…' }` with the names that the columns have in the table. What is undefined is left out. */
export function toDatabaseNames(table: PgTable, values: Record<string, unknown>): Record<string, unknown> {
  const names = getColumnNames(table)
  const columns: Record<string, unknown> = {}
  for (const key in values) {
    const name = names.get(key)
    if (name !== undefined && values[key] !== undefined) columns[name] = values[key]
  }
  return columns
}

/** What a change sets of a row; what is undefined stays. */
export type RowValues<Table extends PgTable> = {
  [Key in keyof Table['$inferInsert']]?: Table['$inferInsert'][Key] | undefined
}

/** The parameter `row` of {@link insertSql} and {@link updateSql}. */
export const toRowJson = (table: PgTable, values: Record<string, unknown>): string =>
  JSON.stringify(toDatabaseNames(table, values))

/** Inserts the parameter `row`, made by {@link toRowJson}, where `condition` says so; what PostgreSQL fills in itself is not taken from it. */
export const insertSql = (table: PgTable, condition?: SQL): SQL => {
  const columns = columnListSql(table, (column) => !column.hasDefault)
  return sql`insert into ${table} (${columns})
    select ${columns} from json_populate_record(null::${table}, ${sql.placeholder('row')}::json) ${condition && sql`where ${condition}`} returning *`
}

const fixedColumns = new Set(['id', 'created_at', 'updated_at', 'version'])

/**
 * Sets what the parameter `row` names in the row that stands in `before`, and leaves the rest as it is: an absent key
 * keeps, a null clears. One statement serves PUT, PATCH, delete and restore.
 */
export const updateSql = (table: PgTable): SQL => {
  const columns = columnListSql(table, (column) => !fixedColumns.has(column.name))
  return sql`update ${table} set (updated_at, version, ${columns}) =
    (select now(), ${table}.version + 1, ${columns} from json_populate_record(${table}, ${sql.placeholder('row')}::json))
    from before where ${table}.id = before.id returning ${table}.*`
}

/** What an ETag says of a record: the version of each row that it shows. */
export const etagSql = (...rows: { version: PgColumn }[]): SQL<string> =>
  sql<string>`${sql.join(
    rows.map(({ version }) => sql`${version}::text`),
    sql` || '.' || `,
  )}`

/** The versions that a change is for, as `parseIfMatch` makes them: a text[] literal, or null where any will do. */
export type IfMatch = string | null

/** The record is at one of the versions of the parameter `ifMatch`. */
export const ifMatchSql = (etag: SQL): SQL =>
  sql`(${sql.placeholder('ifMatch')}::text[] is null or ${etag} = any(${sql.placeholder('ifMatch')}::text[]))`
