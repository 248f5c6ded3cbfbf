import { fillPlaceholders, is, SQL } from 'drizzle-orm'
import { PgColumn } from 'drizzle-orm/pg-core'
import type { SelectResultFields } from 'drizzle-orm/query-builders/select.types'
import type { Db } from './client.ts'
import { clientOf } from './prepared.ts'

declare const of: unique symbol
/** The JSON text of a `Row`. */
export type Json<Row> = string & { readonly [of]?: Row }

/** A row as it is answered, `json`, and beside it what the server itself needs to know of it. */
export type Written<Row, Kept> = Kept & { json: Json<Row> }

type Field = PgColumn | SQL | SQL.Aliased
export type Fields = Record<string, Field>
export type Nested = Record<string, Field | Record<string, PgColumn>>

/** A statement as its text, and what it is sent with. */
export type Compiled = { toSQL(): { sql: string; params: unknown[] } }

type Write = (value: unknown) => string

const plain: Write = (value) => `"${value}"`

/** PostgreSQL's `2026-12-01 09:00:00.5+00` as `2026-12-01T09:00:00.500Z`; the long way round where the server's zone is not UTC. */
const moment: Write = (value) => {
  const text = String(value)
  if (text[10] !== ' ' || !text.endsWith('+00')) return JSON.stringify(new Date(text))
  return `"${text.slice(0, 10)}T${text.slice(11, 19)}.${text.slice(20, -3).padEnd(3, '0')}Z"`
}

/** How a column's value becomes JSON: what needs no escape is not looked at, and JSON from the database is JSON already. */
const writers: Record<string, Write> = {
  PgUUID: plain,
  PgDateString: plain,
  PgEnumColumn: plain,
  PgText: (value) => JSON.stringify(value),
  PgInteger: String,
  PgSmallInt: String,
  PgBoolean: String,
  PgTimestamp: moment,
  PgJson: String,
  PgJsonb: String,
}

const writerOf = (field: Field): Write => {
  if (!is(field, PgColumn)) return (value) => JSON.stringify(value)
  return writers[field.columnType] ?? ((value) => JSON.stringify(field.mapFromDriverValue(value)))
}

const isField = (value: Nested[string]): value is Field =>
  is(value, PgColumn) || is(value, SQL) || is(value, SQL.Aliased)

/** The fields one by one, in the order in which Drizzle selects them, by their path. */
const leavesOf = (fields: Nested): { path: string; field: Field }[] =>
  Object.entries(fields).flatMap(([key, value]) =>
    isField(value)
      ? [{ path: key, field: value }]
      : Object.entries(value).map(([inner, column]) => ({ path: `${key}.${inner}`, field: column })),
  )

/** The text before each value, and which value of the row it is. */
type Part = { before: string; index: number; write: Write }

function partsOf(shown: Nested, indexOf: (path: string) => number): { parts: Part[]; end: string } {
  let text = ''
  const parts: Part[] = []
  const add = (path: string, field: Field) => {
    parts.push({ before: text, index: indexOf(path), write: writerOf(field) })
    text = ''
  }
  const object = (fields: Nested, prefix: string) => {
    text += '{'
    for (const [i, [key, value]] of Object.entries(fields).entries()) {
      text += `${i > 0 ? ',' : ''}${JSON.stringify(key)}:`
      if (isField(value)) add(prefix + key, value)
      else object(value, `${key}.`)
    }
    text += '}'
  }
  object(shown, '')
  return { parts, end: text }
}

/** Makes rows as the driver gives them, a list of values each for `fields`, into what they are answered as. */
function rowWriter<Shown extends Nested, Kept extends Fields, Texts extends Fields>(
  fields: Nested,
  shown: Shown,
  kept: Kept,
  texts: Texts,
) {
  const leaves = leavesOf(fields)
  const indexOf = (path: string) => leaves.findIndex((leaf) => leaf.path === path)
  const { parts, end } = partsOf(shown, indexOf)
  const keeping = [
    ...Object.entries(kept).map(([key, field]) => ({
      key,
      index: indexOf(key),
      read: is(field, PgColumn) ? (value: unknown): unknown => field.mapFromDriverValue(value) : undefined,
    })),
    ...Object.entries(texts).map(([key, field]) => ({
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
    for (const { key, index, read } of keeping) {
      const value = row[index]
      written[key] = read && value !== null ? read(value) : value
    }
    // Made of the columns that the types are made of.
    return written as Written<SelectResultFields<Shown>, SelectResultFields<Kept> & Record<keyof Texts, string>>
  }
}

/**
 * Prepares the statement that `query` makes of the fields it is given, for rows that are answered as they are read:
 * their JSON is written straight from what the driver gives, and nothing is made of it in between. `kept` is what else
 * the server needs of each. A statement without a `name` is planned anew for its parameters each time.
 */
export const preparedJson = <Shown extends Nested, Kept extends Fields>(
  db: Db,
  name: string | undefined,
  fields: { shown: Shown; kept: Kept },
  query: (fields: Kept & Shown) => Compiled,
) => preparedJsonAndTexts(db, name, { ...fields, texts: {} }, query)

/** The same, with `texts` of each row as PostgreSQL spells them. A column that is shown is not asked for again. */
export function preparedJsonAndTexts<Shown extends Nested, Kept extends Fields, Texts extends Fields>(
  db: Db,
  name: string | undefined,
  { shown, kept, texts }: { shown: Shown; kept: Kept; texts: Texts },
  query: (fields: Kept & Shown) => Compiled,
) {
  const shownFields = new Set(leavesOf(shown).map(({ field }) => field))
  const beside = Object.entries(texts).filter(([, field]) => !shownFields.has(field))
  const fields = { ...kept, ...shown, ...Object.fromEntries(beside) }
  const write = rowWriter(fields, shown, kept, texts)
  const { sql: text, params } = query(fields).toSQL()
  const options = { prepare: name !== undefined }
  return {
    client: clientOf(db),
    async execute(values: Record<string, unknown>) {
      const rows = await this.client.unsafe(text, fillPlaceholders(params, values), options).values()
      return rows.map(write)
    },
  }
}
