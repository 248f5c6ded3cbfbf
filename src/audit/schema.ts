import { getTableColumns } from 'drizzle-orm'
import { index, jsonb, pgTable, smallint, text, uuid } from 'drizzle-orm/pg-core'
import * as z from 'zod'
import { id, instant } from '../db/columns.ts'
import { shapeOf } from '../db/shape.ts'
import { id as idField, instant as moment } from '../http/fields.ts'
import { requestId } from '../http/headers.ts'
import { plainQuery } from '../http/page.ts'

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
    index('audit_action_idx').on(table.action, table.at, table.id),
    index('audit_patient_ids_idx').using('gin', table.patientIds),
  ],
)

/** What the API shows of an entry: all of it. */
export const shownEntry = getTableColumns(audit)

export const AuditEntry = shapeOf('AuditEntry', shownEntry, {
  patientIds: z.array(z.uuid()).nullable(),
  changes: z.record(z.string(), z.object({ before: z.unknown(), after: z.unknown() })).nullable(),
})

export const AuditQuery = plainQuery({
  patientId: idField.optional(),
  userId: idField.optional(),
  action: z
    .string()
    .regex(/^[a-z_]+\.[a-z_]+$/, 'must be an action such as patient.read')
    .optional(),
  requestId: z
    .string()
    .regex(requestId, 'must be a request id: 1 to 128 letters, digits, dots, dashes and underscores')
    .optional()
    .meta({
      description: 'The `X-Request-Id` of an answer. One that a client chose is found sooner with `from` and `to`.',
    }),
  from: moment.optional(),
  to: moment.optional(),
})
