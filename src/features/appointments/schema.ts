import { sql } from 'drizzle-orm'
import { check, index, pgEnum, pgTable, text, uuid } from 'drizzle-orm/pg-core'
import * as z from 'zod'
import { idColumn, timestampColumn, versionColumns } from '../../database/columns.ts'
import { idField, instantField, optionalField, textField } from '../../http/field-types.ts'
import { newestFirstQuery } from '../../http/list-query.ts'
import { createResponseSchema } from '../../http/response-schema.ts'
import { users } from '../auth/schema.ts'
import { doctors } from '../doctors/schema.ts'
import { patients } from '../patients/schema.ts'

const appointmentStatuses = ['scheduled', 'completed', 'cancelled', 'no_show'] as const
export const appointmentStatusEnum = pgEnum('appointment_status', appointmentStatuses)

/** Two exclusion constraints, which Drizzle has no words for, keep doctor and patient out of two scheduled ones at once. */
export const appointments = pgTable(
  'appointments',
  {
    id: idColumn(),
    patientId: uuid('patient_id')
      .notNull()
      .references(() => patients.id),
    doctorId: uuid('doctor_id')
      .notNull()
      .references(() => doctors.id),
    startsAt: timestampColumn('starts_at').notNull(),
    endsAt: timestampColumn('ends_at').notNull(),
    status: appointmentStatusEnum('status').notNull(),
    reason: text('reason'),
    notes: text('notes'),
    createdBy: uuid('created_by')
      .notNull()
      .references(() => users.id),
    ...versionColumns(),
  },
  (table) => [
    check('appointments_end_after_start', sql`starts_at < ends_at`),
    index('appointments_created_at_idx').on(table.createdAt, table.id),
    index('appointments_patient_id_idx').on(table.patientId, table.createdAt, table.id),
    index('appointments_doctor_id_idx').on(table.doctorId, table.createdAt, table.id),
    index('appointments_status_idx').on(table.status, table.createdAt, table.id),
    index('appointments_starts_at_idx').on(table.startsAt),
    index('appointments_doctor_id_starts_at_idx').on(table.doctorId, table.startsAt),
  ],
)

/** What the API shows of an appointment by itself. */
export const appointmentColumns = {
  id: appointments.id,
  patientId: appointments.patientId,
  doctorId: appointments.doctorId,
  startsAt: appointments.startsAt,
  endsAt: appointments.endsAt,
  status: appointments.status,
  reason: appointments.reason,
  notes: appointments.notes,
  createdBy: appointments.createdBy,
  createdAt: appointments.createdAt,
  updatedAt: appointments.updatedAt,
}

/** And joined with both its sides. */
export const appointmentJoinedColumns = {
  ...appointmentColumns,
  patient: { id: patients.id, name: patients.name },
  doctor: { id: doctors.id, name: doctors.name, specialization: doctors.specialization },
}

export const AppointmentResponse = createResponseSchema('Appointment', appointmentJoinedColumns)

const endsAfterStart = ({ startsAt, endsAt }: { startsAt?: string | undefined; endsAt?: string | undefined }) =>
  !startsAt || !endsAt || startsAt < endsAt
const endsBeforeStartError = { path: ['endsAt'], error: 'must be after startsAt' }

export const NewAppointment = z
  .strictObject({
    patientId: idField,
    doctorId: idField,
    startsAt: instantField,
    endsAt: instantField,
    reason: optionalField(textField(2000)).default(null),
  })
  .refine(endsAfterStart, endsBeforeStartError)
  .meta({ id: 'NewAppointment' })

export const AppointmentPatch = z
  .strictObject({
    startsAt: instantField,
    endsAt: instantField,
    status: z.enum(appointmentStatuses),
    reason: optionalField(textField(2000)),
    notes: optionalField(textField(2000)),
  })
  .partial()
  .refine(endsAfterStart, endsBeforeStartError)
  .refine(({ status, startsAt, endsAt }) => status === undefined || (startsAt ?? endsAt) === undefined, {
    path: ['status'],
    error: 'cannot change together with times',
  })
  .meta({ id: 'AppointmentPatch' })

export const AppointmentQuery = newestFirstQuery({
  patientId: idField.optional(),
  doctorId: idField.optional(),
  status: z.enum(appointmentStatuses).optional(),
  from: instantField.optional(),
  to: instantField.optional(),
})

const slotDay = z.iso.date().refine((value) => value >= '1900-01-01', 'must not be before 1900')
const maxSlotDays = 31
const daysBetween = (from: string, to: string) => (Date.parse(to) - Date.parse(from)) / 86_400_000

export const SlotQuery = z
  .strictObject({
    from: slotDay,
    to: slotDay,
    minutes: z
      .string()
      .regex(/^\d{1,3}$/, 'must be a whole number from 5 to 480')
      .transform(Number)
      .pipe(z.int().min(5).max(480))
      .meta({ type: 'integer', pattern: undefined, minimum: 5, maximum: 480 }),
  })
  .refine(({ from, to }) => from <= to, { path: ['to'], error: 'must not be before from' })
  .refine(({ from, to }) => daysBetween(from, to) < maxSlotDays, {
    path: ['to'],
    error: `must be within ${maxSlotDays} days`,
  })

export const SlotsResponse = z
  .object({ results: z.array(z.object({ startsAt: z.iso.datetime(), endsAt: z.iso.datetime() })) })
  .meta({ id: 'Slots' })
