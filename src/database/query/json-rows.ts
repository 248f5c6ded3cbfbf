import { fillPlaceholders, is, SQL } from 'drizzle-orm'
import { PgColumn } from 'drizzle-orm/pg-core'
import type { SelectResultFields } from 'drizzle-orm/query-builders/select.types'
import type { DatabaseOrTransaction } from '../../context.ts'
import { getDriverClient } from './prepared-statement.ts'

declare const jsonRow: unique symbol
/** The JSON text of a `Row`. */
export type JsonText<Row> = string & { readonly [jsonRow]?: Row }

/** A row as it is answered, `json`, and beside it what the server itself needs to know of it. */
export type JsonRow<Row, ServerColumns> = ServerColumns & { json: JsonText<Row> }

type SelectedField = PgColumn | SQL | SQL.Aliased
/** Columns and expressions by the names that the server uses. */
export type SelectedFields = Record<string, SelectedField>
/** Columns and expressions by the names of the API; one level of objects may stand in it. */
export type NestedFields = Record<string, SelectedField | Record<string, PgColumn>>

/** A statement as its text, and what it is sent with. */
export type CompilableQuery = { toSQL(): { sql: string; params: unknown[] } }

type ValueWriter = (value: unknown) => string

const writeQuoted: ValueWriter = (value) => `"${value}"`

/** PostgreSQL's `2026-12-01 09:00:00.5+00` as `2026-12-01T09:00:00.500Z`; the long way round where the server's zone is not UTC. */
const writeTimestamp: ValueWriter = (value) => {
  const text = String(value)
  if (text[10] !== ' ' || !text.endsWith('+00')) return JSON.stringify(new Date(text))
  return `"${text.slice(0, 10)}T${text.slice(11, 19)}.${text.slice(20, -3).padEnd(3, '0')}Z"`
}

/** How a column's value becomes JSON: what needs no escape is not looked at, and JSON from the database is JSON already. */
const writersByColumnType: Record<string, ValueWriter> = {
  PgUUID: writeQuoted,
  PgDateString: writeQuoted,
  PgEnumColumn: writeQuoted,
  PgText: (value) => JSON.stringify(value),
  PgInteger: String,
  PgSmallInt: String,
  PgBoolean: String,
  PgTimestamp: writeTimestamp,
  PgJson: String,
  PgJsonb: String,
}

const getValueWriter = (field: SelectedField): ValueWriter => {
  if (!is(field, PgColumn)) return (value) => JSON.stringify(value)
  return writersByColumnType[field.columnType] ?? ((value) => JSON.stringify(field.mapFromDriverValue(value)))
}

const isSelectedField = (value: NestedFields[string]): value is SelectedField =>
  is(value, PgColumn) || is(value, SQL) || is(value, SQL.Aliased)

/** The fields one by one, in the order in which Drizzle selects them, by their path. */
const flattenFields = (fields: NestedFields): { path: string; field: SelectedField }[] =>
  Object.entries(fields).flatMap(([key, value]) =>
    isSelectedField(value)
      ? [{ path: key, field: value }]
      : Object.entries(value).map(([inner, column]) => ({ path: `${key}.${inner}`, field: column })),
  )

/** The text before each value, and which value of the row it is. */
type JsonPart = { before: string; index: number; write: ValueWriter }

function buildJsonParts(
  jsonColumns: NestedFields,
  indexOf: (path: string) => number,
): { parts: JsonPart[]; end: string } {
  let text = ''
  const parts: JsonPart[] = []
  const add = (path: string, field: SelectedField) => {
    parts.push({ before: text, index: indexOf(path), write: getValueWriter(field) })
    text = ''
  }
  const object = (fields: NestedFields, prefix: string) => {
    text += '{'
    for (const [i, [key, value]] of Object.entries(fields).entries()) {
      text += `${i > 0 ? ',' : ''}${JSON.stringify(key)}:`
      if (isSelectedField(value)) add(prefix + key, value)
      else object(value, `${key}.`)
    }
    text += '}'
  }
  object(jsonColumns, '')
  return { parts, end: text }
}

/** Makes rows as the driver gives them, a list of values each for `fields`, into what they are answered as. */
function createRowWriter<
  JsonColumns extends NestedFields,
  ServerColumns extends SelectedFields,
  TextColumns extends SelectedFields,
>(fields: NestedFields, jsonColumns: JsonColumns, serverColumns: ServerColumns, textColumns: TextColumns) {
  const leaves = flattenFields(fields)
  const indexOf = (path: string) => leaves.findIndex((leaf) => leaf.path === path)
  const { parts, end } = buildJsonParts(jsonColumns, indexOf)
  const serverValues = [
    ...Object.entries(serverColumns).map(([key, field]) => ({
      key,
      index: indexOf(key),
      read: is(field, PgColumn) ? (value: unknown): unknown => field.mapFromDriverValue(value) : undefined,
    })),
    ...Object.entries(textColumns).map(([key, field]) => ({
      key,
      index: leaves.findIndex((leaf) => leaf.field === field),
      read: String,
    })),
  ]
  return (row: unknown[]) => {
    let json = ''
    for (const { before, index, write } of parts) {
      const value = row[index]
      json += before
      json += value === null ? 'null' : write(value)
    }
    const written: Record<string, unknown> = { json: json + end }
    for (const { key, index, read } of serverValues) {
      const value = row[index]
      written[key] = read && value !== null ? read(value) : value
    }
    // Made of the columns that the types are made of.
    return written as JsonRow<
      SelectResultFields<JsonColumns>,
      SelectResultFields<ServerColumns> & Record<keyof TextColumns, string>
    >
  }
}

/**
 * Prepares the statement that `query` makes of the fields it is given, for rows that are answered as they are read:
 * their JSON is written straight from what the driver gives, and nothing is made of it in between. `serverColumns` is what else
 * the server needs of each. A statement without a `name` is planned anew for its parameters each time.
 */
export const preparedJsonQuery = <JsonColumns extends NestedFields, ServerColumns extends SelectedFields>(
  db: DatabaseOrTransaction,
  name: string | undefined,
  fields: { jsonColumns: JsonColumns; serverColumns: ServerColumns },
  query: (fields: ServerColumns & JsonColumns) => CompilableQuery,
) => preparedJsonQueryWithTexts(db, name, { ...fields, textColumns: {} }, query)

/** The same, with `textColumns` of each row as PostgreSQL spells them. A column that is shown is not asked for again. */
export function preparedJsonQueryWithTexts<
  JsonColumns extends NestedFields,
  ServerColumns extends SelectedFields,
  TextColumns extends SelectedFields,
>(
  db: DatabaseOrTransaction,
  name: string | undefined,
  {
    jsonColumns,
    serverColumns,
    textColumns,
  }: { jsonColumns: JsonColumns; serverColumns: ServerColumns; textColumns: TextColumns },
  query: (fields: ServerColumns & JsonColumns) => CompilableQuery,
) {
  const shownFields = new Set(flattenFields(jsonColumns).map(({ field }) => field))
  const beside = Object.entries(textColumns).filter(([, field]) => !shownFields.has(field))
  const fields = { ...serverColumns, ...jsonColumns, ...Object.fromEntries(beside) }
  const write = createRowWriter(fields, jsonColumns, serverColumns, textColumns)
  const { sql: text, params } = query(fields).toSQL()
  const options = { prepare: name !== undefined }
  return {
    client: getDriverClient(db),
    async execute(values: Record<string, unknown>) {
      const rows = await this.client.unsafe(text, fillPlaceholders(params, values), options).values()
      return rows.map(write)
    },
  }
}
