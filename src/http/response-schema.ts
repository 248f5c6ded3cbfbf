import type { PgColumn } from 'drizzle-orm/pg-core'
import * as z from 'zod'

/** Columns as they are shown, by their names in the API; one in another is an object in it. */
type ResponseColumns = { [name: string]: PgColumn | Record<string, PgColumn> }

/** What JSON makes of each type of column. One that holds JSON itself has to be told. */
const schemaByColumnType: Record<string, () => z.ZodType> = {
  PgUUID: () => z.uuid(),
  PgText: () => z.string(),
  PgBoolean: () => z.boolean(),
  PgInteger: () => z.int(),
  PgSmallInt: () => z.int(),
  PgDateString: () => z.iso.date(),
  PgTimestamp: () => z.iso.datetime(),
}

function toFieldSchema(column: PgColumn): z.ZodType {
  const field = column.enumValues?.length ? z.enum(column.enumValues) : schemaByColumnType[column.columnType]?.()
  if (!field) throw new Error(`the shape of ${column.name} has to be told`)
  return column.notNull ? field : field.nullable()
}

const isColumn = (column: ResponseColumns[string]): column is PgColumn => typeof column.columnType === 'string'

/**
 * The shape in JSON of what the API shows of a row: the very columns that a statement selects. `otherFields` tells those
 * that hold JSON, and what is shown beside the columns.
 */
export const createResponseSchema = (
  name: string,
  columns: ResponseColumns,
  otherFields: z.ZodRawShape = {},
): z.ZodType => {
  const fields = Object.entries(columns).flatMap(([key, column]) => {
    if (key in otherFields) return []
    const nested = isColumn(column) ? toFieldSchema(column) : z.object(toObjectShape(column))
    return [[key, nested]]
  })
  return z.object({ ...Object.fromEntries(fields), ...otherFields }).meta({ id: name })
}

const toObjectShape = (columns: Record<string, PgColumn>): z.ZodRawShape =>
  Object.fromEntries(Object.entries(columns).map(([key, column]) => [key, toFieldSchema(column)]))
