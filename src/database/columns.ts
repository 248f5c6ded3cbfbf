import { integer, type PgColumn, timestamp, uuid } from 'drizzle-orm/pg-core'

/** A UUIDv7 made by the application. */
export const idColumn = () => uuid('id').primaryKey()

/** A column of such ids, of whatever table. */
export type IdColumn = PgColumn & { _: { data: string; notNull: true } }

/** A moment, kept to the millisecond: what a client is shown is exactly what is stored and compared. */
export const timestampColumn = (name: string) => timestamp(name, { withTimezone: true, precision: 3, mode: 'date' })

/** When a row came to be and last changed, and how often: `version` is what an ETag is made of. */
export const versionColumns = () => ({
  createdAt: timestampColumn('created_at').notNull().defaultNow(),
  updatedAt: timestampColumn('updated_at').notNull().defaultNow(),
  version: integer('version').notNull().default(1),
})

/** Set while a row is deleted: it is hidden everywhere and nothing of it is lost. */
export const deletedAtColumn = () => timestampColumn('deleted_at')
