import { getTableColumns, type SQL, sql } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'

type Kept = (column: PgColumn) => boolean

/** The table's columns as a list in SQL: those that `kept` says, without the computed ones. */
export const namesOf = (table: PgTable, kept: Kept = () => true): SQL => {
  const columns = Object.values(getTableColumns(table)).filter((column) => !column.generated && kept(column))
  return sql.join(
    columns.map((column) => sql.identifier(column.name)),
    sql`, `,
  )
}

const namesInTables = new WeakMap<PgTable, Map<string, string>>()

/** What the table's columns are called in it, by their keys. Looked up for every row that is written. */
function namesIn(table: PgTable): Map<string, string> {
  const known = namesInTables.get(table)
  if (known) return known
  const names = new Map(Object.entries(getTableColumns(table)).map(([key, column]) => [key, column.name]))
  namesInTables.set(table, names)
  return names
}

/** `{ dateOfBirth: '…' }` with the names that the columns have in the table. What is undefined is left out. */
export function columnsOf(table: PgTable, values: Record<string, unknown>): Record<string, unknown> {
  const names = namesIn(table)
  const columns: Record<string, unknown> = {}
  for (const key in values) {
    const name = names.get(key)
    if (name !== undefined && values[key] !== undefined) columns[name] = values[key]
  }
  return columns
}

/** The parameter `row` of {@link insertInto} and {@link update}. */
export const rowOf = (table: PgTable, values: Record<string, unknown>): string =>
  JSON.stringify(columnsOf(table, values))

/** Inserts the parameter `row`, made by {@link rowOf}, where `when` says so; what PostgreSQL fills in itself is not taken from it. */
export const insertInto = (table: PgTable, when?: SQL): SQL => {
  const columns = namesOf(table, (column) => !column.hasDefault)
  return sql`insert into ${table} (${columns})
    select ${columns} from json_populate_record(null::${table}, ${sql.placeholder('row')}::json) ${when && sql`where ${when}`} returning *`
}

const fixed = new Set(['id', 'created_at', 'updated_at', 'version'])

/**
 * Sets what the parameter `row` names in the row that stands in `before`, and leaves the rest as it is: an absent key
 * keeps, a null clears. One statement serves PUT, PATCH, delete and restore.
 */
export const update = (table: PgTable): SQL => {
  const columns = namesOf(table, (column) => !fixed.has(column.name))
  return sql`update ${table} set (updated_at, version, ${columns}) =
    (select now(), ${table}.version + 1, ${columns} from json_populate_record(${table}, ${sql.placeholder('row')}::json))
    from before where ${table}.id = before.id returning ${table}.*`
}

/** What an ETag says of a record: the version of each row that it shows. */
export const etagOf = (...rows: { version: PgColumn }[]): SQL<string> =>
  sql<string>`${sql.join(
    rows.map(({ version }) => sql`${version}::text`),
    sql` || '.' || `,
  )}`

/** The record is one of those that the request's If-Match names. */
export const matching = (etag: SQL): SQL =>
  sql`(${sql.placeholder('match')}::text[] is null or ${etag} = any(${sql.placeholder('match')}::text[]))`
