import { sql } from 'drizzle-orm'
import { check, pgTable, text, unique, uuid } from 'drizzle-orm/pg-core'
import * as z from 'zod'
import { idColumn, timestampColumn } from '../../database/columns.ts'
import { tokenField } from '../../http/field-types.ts'
import { createResponseSchema } from '../../http/response-schema.ts'
import { users } from '../auth/schema.ts'
import { doctors } from '../doctors/schema.ts'
import { patients } from '../patients/schema.ts'

/** Whose appointments a feed shows. */
export type FeedSubject = 'doctor' | 'patient'

/**
 * A URL under which the appointments of one doctor or one patient can be subscribed to, for whoever made it. Only what
 * its token hashes to is kept. A feed never changes: making it anew puts another in its place.
 */
export const feeds = pgTable(
  'feeds',
  {
    id: idColumn(),
    userId: uuid('user_id')
      .notNull()
      .references(() => users.id),
    doctorId: uuid('doctor_id').references(() => doctors.id),
    patientId: uuid('patient_id').references(() => patients.id),
    tokenHash: text('token_hash').notNull(),
    createdAt: timestampColumn('created_at').notNull().defaultNow(),
  },
  (table) => [
    unique('feeds_token_hash_key').on(table.tokenHash),
    unique('feeds_user_id_doctor_id_key').on(table.userId, table.doctorId),
    unique('feeds_user_id_patient_id_key').on(table.userId, table.patientId),
    check('feeds_of_one', sql`num_nonnulls(doctor_id, patient_id) = 1`),
  ],
)

/** What the API shows of a feed: never its token, which is told once. */
export const feedColumns = { id: feeds.id, createdAt: feeds.createdAt }

export const FeedResponse = createResponseSchema('Feed', feedColumns)
/** A feed as it is answered the one time that its URL is told. */
export const NewFeedResponse = createResponseSchema('NewFeed', feedColumns, { url: z.string() })

export const FeedQuery = z.strictObject({ token: tokenField, detail: z.enum(['full']).optional() })
