import { sql } from 'drizzle-orm'
import { check, index, integer, pgEnum, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import * as z from 'zod'
import { idColumn, timestampColumn } from '../../database/columns.ts'
import { idField, normalizableText, optionalField, textField } from '../../http/field-types.ts'
import { createResponseSchema } from '../../http/response-schema.ts'
import { appointments } from '../appointments/schema.ts'
import { users } from '../auth/schema.ts'
import { patients } from '../patients/schema.ts'

const reportKinds = ['lab', 'imaging', 'discharge', 'prescription', 'other'] as const
export const reportKindEnum = pgEnum('report_kind', reportKinds)

/** What is known of a file. Its bytes are where `Files` keeps them, under the report's id. */
export const reports = pgTable(
  'reports',
  {
    id: idColumn(),
    patientId: uuid('patient_id')
      .notNull()
      .references(() => patients.id),
    appointmentId: uuid('appointment_id').references(() => appointments.id),
    title: text('title').notNull(),
    kind: reportKindEnum('kind').notNull(),
    filename: text('filename').notNull(),
    contentType: text('content_type').notNull(),
    size: integer('size').notNull(),
    sha256: text('sha256').notNull(),
    uploadedBy: uuid('uploaded_by')
      .notNull()
      .references(() => users.id),
    createdAt: timestampColumn('created_at').notNull().defaultNow(),
  },
  (table) => [
    check('reports_size', sql`size > 0`),
    index('reports_patient_id_idx').on(table.patientId, table.createdAt, table.id),
  ],
)

/** What the API shows of a report. */
export const reportColumns = {
  id: reports.id,
  patientId: reports.patientId,
  appointmentId: reports.appointmentId,
  title: reports.title,
  kind: reports.kind,
  filename: reports.filename,
  contentType: reports.contentType,
  size: reports.size,
  sha256: reports.sha256,
  uploadedBy: reports.uploadedBy,
  createdAt: reports.createdAt,
}

export const ReportResponse = createResponseSchema('Report', reportColumns)

/** What stands for `"`, CR and LF in a form's file name (WHATWG HTML, "multipart form data"). */
const escapedCharacters: Record<string, string> = { '%22': '"', '%0D': '\r', '%0A': '\n' }
/** Overrides and embeddings of the direction of text, which let a name read as another, beside what is no text at all. */
const unwantedCharacters = /[\p{Cc}\u202a-\u202e\u2066-\u2069]/gu

/** A file's name: the last part of the path that the client claims, in NFC, without controls, 1 to 255 bytes of UTF-8. */
const filenameField = z
  .string({ error: 'must be a file' })
  .transform((claimed) => {
    const name = claimed
      .replace(/%22|%0[DA]/gi, (code) => escapedCharacters[code.toUpperCase()] ?? code)
      .replace(unwantedCharacters, '')
    return name.split(/[\\/]/).at(-1) ?? ''
  })
  .pipe(normalizableText)
  .transform((name) => name.normalize('NFC').trim())
  .refine((name) => !['', '.', '..'].includes(name), 'must be a file with a name')
  .refine((name) => new TextEncoder().encode(name).length <= 255, 'must have a name of at most 255 bytes')
  .meta({ format: 'binary' })

/** A form's fields, with the file's name in place of the file. */
export const NewReport = z
  .strictObject({
    file: filenameField,
    title: textField(200),
    kind: z.enum(reportKinds),
    appointmentId: optionalField(idField).default(null),
  })
  .meta({ id: 'NewReport' })
