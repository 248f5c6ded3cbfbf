import { sql } from 'drizzle-orm'
import { date, index, jsonb, pgEnum, pgTable, text, uniqueIndex, uuid } from 'drizzle-orm/pg-core'
import * as z from 'zod'
import { users } from '../auth/schema.ts'
import { deletedAt, history, id } from '../db/columns.ts'
import { folded } from '../db/search.ts'
import { shapeOf } from '../db/shape.ts'
import { email, id as idField, text as line, optional, pastDay, phone } from '../http/fields.ts'
import { listQuery } from '../http/page.ts'

const genders = ['female', 'male', 'other', 'unknown'] as const
const bloodGroups = ['A+', 'A-', 'B+', 'B-', 'AB+', 'AB-', 'O+', 'O-'] as const
export const gender = pgEnum('gender', genders)
export const bloodGroup = pgEnum('blood_group', bloodGroups)

export const patients = pgTable(
  'patients',
  {
    id: id(),
    name: text('name').notNull(),
    dateOfBirth: date('date_of_birth', { mode: 'string' }).notNull(),
    gender: gender('gender').notNull(),
    phone: text('phone'),
    email: text('email'),
    address: text('address'),
    bloodGroup: bloodGroup('blood_group'),
    // JSON, not text[]: Drizzle drops the backslashes of an array that it reads.
    allergies: jsonb('allergies').$type<string[]>().notNull(),
    medicalHistory: text('medical_history'),
    userId: uuid('user_id').references(() => users.id),
    createdBy: uuid('created_by')
      .notNull()
      .references(() => users.id),
    ...history(),
    deletedAt: deletedAt(),
    search: text('search').generatedAlwaysAs(sql`fold(name || chr(10) || coalesce(email, ''))`),
  },
  (table) => [
    uniqueIndex('patients_user_id_key').on(table.userId).where(sql`deleted_at is null`),
    index('patients_created_by_idx').on(table.createdBy, table.createdAt, table.id),
    index('patients_gender_idx').on(table.gender, table.createdAt, table.id),
    index('patients_deleted_idx').on(table.createdAt, table.id).where(sql`deleted_at is not null`),
    index('patients_created_at_idx').on(table.createdAt, table.id),
    index('patients_updated_at_idx').on(table.updatedAt, table.id),
    index('patients_date_of_birth_idx').on(table.dateOfBirth, table.id),
    index('patients_name_idx').on(folded(table.name), table.id),
    index('patients_search_idx').using('gin', table.search.op('gin_trgm_ops')),
    index('patients_phone_idx').using('gin', table.phone.op('gin_trgm_ops')),
  ],
)

/** What the API shows of a patient. */
export const shownPatient = {
  id: patients.id,
  name: patients.name,
  dateOfBirth: patients.dateOfBirth,
  gender: patients.gender,
  phone: patients.phone,
  email: patients.email,
  address: patients.address,
  bloodGroup: patients.bloodGroup,
  allergies: patients.allergies,
  medicalHistory: patients.medicalHistory,
  userId: patients.userId,
  createdBy: patients.createdBy,
  createdAt: patients.createdAt,
  updatedAt: patients.updatedAt,
}

export const Patient = shapeOf('Patient', shownPatient, { allergies: z.array(z.string()) })

const fields = {
  name: line(200),
  dateOfBirth: pastDay,
  gender: z.enum(genders),
  phone: optional(phone),
  email: optional(email),
  address: optional(line(500)),
  bloodGroup: optional(z.enum(bloodGroups)),
  allergies: z
    .array(line(200))
    .max(100)
    .nullable()
    .transform((list) => list ?? []),
  medicalHistory: optional(line(20_000)),
  /** An admin's to set: an account of role `patient`. */
  userId: idField.nullable(),
}

const whole = {
  ...fields,
  phone: fields.phone.default(null),
  email: fields.email.default(null),
  address: fields.address.default(null),
  bloodGroup: fields.bloodGroup.default(null),
  allergies: fields.allergies.default([]),
  medicalHistory: fields.medicalHistory.default(null),
  userId: fields.userId.optional(),
}

export const NewPatient = z.strictObject({ ...whole, self: z.boolean().optional() }).meta({ id: 'NewPatient' })
export const WholePatient = z.strictObject(whole).meta({ id: 'WholePatient' })
export const PatientPatch = z.strictObject(fields).partial().meta({ id: 'PatientPatch' })

export const PatientQuery = listQuery(
  {
    q: line(200).optional(),
    doctorId: idField.optional(),
    gender: z.enum(genders).optional(),
    deleted: z.enum(['true', 'false']).optional(),
  },
  ['name', 'dateOfBirth', 'createdAt', 'updatedAt'],
)
