import type { PgColumn } from 'drizzle-orm/pg-core'
import * as z from 'zod'

/** Columns as they are shown, by their names in the API; one in another is an object in it. */
type Shown = { [name: string]: PgColumn | Record<string, PgColumn> }

/** What JSON makes of each type of column. One that holds JSON itself has to be told. */
const types: Record<string, () => z.ZodType> = {
  PgUUID: () => z.uuid(),
  PgText: () => z.string(),
  PgBoolean: () => z.boolean(),
  PgInteger: () => z.int(),
  PgSmallInt: () => z.int(),
  PgDateString: () => z.iso.date(),
  PgTimestamp: () => z.iso.datetime(),
}

function fieldOf(column: PgColumn): z.ZodType {
  const field = column.enumValues?.length ? z.enum(column.enumValues) : types[column.columnType]?.()
  if (!field) throw new Error(`the shape of ${column.name} has to be told`)
  return column.notNull ? field : field.nullable()
}

const isColumn = (column: Shown[string]): column is PgColumn => typeof column.columnType === 'string'

/**
 * The shape in JSON of what the API shows of a row: the very columns that a statement selects. `more` tells those
 * that hold JSON, and what is shown beside the columns.
 */
export const shapeOf = (name: string, shown: Shown, more: z.ZodRawShape = {}): z.ZodType => {
  const fields = Object.entries(shown).flatMap(([key, column]) => {
    if (key in more) return []
    const nested = isColumn(column) ? fieldOf(column) : z.object(objectOf(column))
    return [[key, nested]]
  })
  return z.object({ ...Object.fromEntries(fields), ...more }).meta({ id: name })
}

const objectOf = (columns: Record<string, PgColumn>): z.ZodRawShape =>
  Object.fromEntries(Object.entries(columns).map(([key, column]) => [key, fieldOf(column)]))
