import { bigint, integer, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import { timestampColumn } from '../database/columns.ts'
import { users } from '../features/auth/schema.ts'

/** How often, and with how many bytes, an account has done what is limited by the day: until `endsAt`, a day after the first. */
export const dailyUse = pgTable(
  'daily_use',
  {
    userId: uuid('user_id')
      .notNull()
      .references(() => users.id),
    kind: text('kind').notNull(),
    count: integer('count').notNull(),
    bytes: bigint('bytes', { mode: 'number' }).notNull(),
    endsAt: timestampColumn('ends_at').notNull(),
  },
  (table) => [primaryKey({ columns: [table.userId, table.kind] })],
)
