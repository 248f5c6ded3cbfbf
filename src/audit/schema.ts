import { index, jsonb, pgTable, smallint, text, uuid } from 'drizzle-orm/pg-core'
import { id, instant } from '../db/columns.ts'

export type Changes = Record<string, { before: unknown; after: unknown }>

/** Who saw or changed what. A trigger refuses to update or delete rows. No foreign keys: the trail outlives what it names. */
export const audit = pgTable(
  'audit',
  {
    id: id(),
    at: instant('at').notNull().defaultNow(),
    userId: uuid('user_id'),
    role: text('role'),
    action: text('action').notNull(),
    resource: text('resource').notNull(),
    resourceId: uuid('resource_id'),
    patientId: uuid('patient_id'),
    patientIds: uuid('patient_ids').array(),
    status: smallint('status').notNull(),
    ip: text('ip').notNull(),
    userAgent: text('user_agent'),
    requestId: text('request_id').notNull(),
    changes: jsonb('changes').$type<Changes>(),
  },
  (table) => [
    index('audit_at_idx').on(table.at, table.id),
    index('audit_user_id_idx').on(table.userId, table.at, table.id),
    index('audit_patient_id_idx').on(table.patientId, table.at, table.id),
    index('audit_patient_ids_idx').using('gin', table.patientIds),
  ],
)
