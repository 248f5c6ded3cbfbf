import { getTableColumns } from 'drizzle-orm'
import { index, jsonb, pgTable, smallint, text, uuid } from 'drizzle-orm/pg-core'
import * as z from 'zod'
import { idColumn, timestampColumn } from '../database/columns.ts'
import { idField, instantField } from '../http/field-types.ts'
import { newestFirstQuery } from '../http/list-query.ts'
import { requestIdPattern } from '../http/response-headers.ts'
import { createResponseSchema } from '../http/response-schema.ts'

export type AuditChanges = Record<string, { before: unknown; after: unknown }>

/** Who saw or changed what. A trigger refuses to update or delete rows. No foreign keys: the trail outlives what it names. */
export const auditLog = pgTable(
  'audit',
  {
    id: idColumn(),
    at: timestampColumn('at').notNull().defaultNow(),
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
    changes: jsonb('changes').$type<AuditChanges>(),
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
export const auditEntryColumns = getTableColumns(auditLog)

export const AuditEntryResponse = createResponseSchema('AuditEntry', auditEntryColumns, {
  patientIds: z.array(z.uuid()).nullable(),
  changes: z.record(z.string(), z.object({ before: z.unknown(), after: z.unknown() })).nullable(),
})

export const AuditQuery = newestFirstQuery({
  patientId: idField.optional(),
  userId: idField.optional(),
  action: z
    .string()
    .regex(/^[a-z_]+\.[a-z_]+$/, 'must be an action such as patient.read')
    .optional(),
  requestId: z
    .string()
    .regex(requestIdPattern, 'must be a request id: 1 to 128 letters, digits, dots, dashes and underscores')
    .optional()
    .meta({
      description: 'The `X-Request-Id` of an answer. One that a client chose is found sooner with `from` and `to`.',
    }),
  from: instantField.optional(),
  to: instantField.optional(),
})
