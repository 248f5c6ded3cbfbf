import { getTableColumns, is, type SQL, sql } from 'drizzle-orm'
import { PgColumn, type PgTable } from 'drizzle-orm/pg-core'

type Kept = (column: PgColumn) => boolean

/** The table's columns as a list in SQL: those that `kept` says, without the computed ones. */
export const namesOf = (table: PgTable, kept: Kept = () => true): SQL => {
  const columns = Object.values(getTableColumns(table)).filter((column) => !column.generated && kept(column))
  return sql.join(
    columns.map((column) => sql.identifier(column.name)),
    sql`, `,
  )
}

/** `{ dateOfBirth: '…' }` with the names that the columns have in the table. What is undefined is left out. */
export const columnsOf = (table: PgTable, values: Record<string, unknown>): Record<string, unknown> => {
  const columns = getTableColumns(table)
  return Object.fromEntries(
    Object.entries(values).flatMap(([key, value]) => {
      const column = columns[key]
      return value === undefined || !is(column, PgColumn) ? [] : [[column.name, value]]
    }),
  )
}

/** The parameter `row` of {@link insertInto} and {@link update}. */
export const rowOf = (table: PgTable, values: Record<string, unknown>): string =>
  JSON.stringify(columnsOf(table, values))

/** Inserts the parameter `row`, made by {@link rowOf}; what PostgreSQL fills in itself is not taken from it. */
export const insertInto = (table: PgTable): SQL => {
  const columns = namesOf(table, (column) => !column.hasDefault)
  return sql`insert into ${table} (${columns})
    select ${columns} from json_populate_record(null::${table}, ${sql.placeholder('row')}::json) returning *`
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
