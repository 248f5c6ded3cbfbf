import { index, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core'
import { timestampColumn } from '../database/columns.ts'
import { users } from '../features/auth/schema.ts'

/** The first good answer to each create that brought an Idempotency-Key, to be given again for a day. */
export const idempotencyRecords = pgTable(
  'idempotency_keys',
  {
    userId: uuid('user_id')
      .notNull()
      .references(() => users.id),
    method: text('method').notNull(),
    path: text('path').notNull(),
    key: text('key').notNull(),
    /** Made with a secret, since a request can hold a password. */
    requestHash: text('request_hash').notNull(),
    resourceId: uuid('resource_id').notNull(),
    body: text('body').notNull(),
    etag: text('etag').notNull(),
    createdAt: timestampColumn('created_at').notNull().defaultNow(),
  },
  (table) => [
    primaryKey({ name: 'idempotency_keys_pkey', columns: [table.userId, table.method, table.path, table.key] }),
    index('idempotency_keys_created_at_idx').on(table.createdAt),
  ],
)
