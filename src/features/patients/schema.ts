import { sql } from 'drizzle-orm'
import { date, index, jsonb, pgEnum, pgTable, text, uniqueIndex, uuid } from 'drizzle-orm/pg-core'
import * as z from 'zod'
import { deletedAtColumn, idColumn, versionColumns } from '../../database/columns.ts'
import { foldedText } from '../../database/query/search.ts'
import { emailField, idField, optionalField, pastDateField, phoneField, textField } from '../../http/field-types.ts'
import { listQuery } from '../../http/list-query.ts'
import { createResponseSchema } from '../../http/response-schema.ts'
import { users } from '../auth/schema.ts'

const genders = ['female', 'male', 'other', 'unknown'] as const
const bloodGroups = ['A+', 'A-', 'B+', 'B-', 'AB+', 'AB-', 'O+', 'O-'] as const
export const genderEnum = pgEnum('gender', genders)
export const bloodGroupEnum = pgEnum('blood_group', bloodGroups)

export const patients = pgTable(
  'patients',
  {
    id: idColumn(),
    name: text('name').notNull(),
    dateOfBirth: date('date_of_birth', { mode: 'string' }).notNull(),
    gender: genderEnum('gender').notNull(),
    phone: text('phone'),
    email: text('email'),
    address: text('address'),
    bloodGroup: bloodGroupEnum('blood_group'),
    // JSON, not text[]: Drizzle drops the backslashes of an array that it reads.
    allergies: jsonb('allergies').$type<string[]>().notNull(),
    medicalHistory: text('medical_history'),
    userId: uuid('user_id').references(() => users.id),
    createdBy: uuid('created_by')
      .notNull()
      .references(() => users.id),
    ...versionColumns(),
    deletedAt: deletedAtColumn(),
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
    index('patients_name_idx').on(foldedText(table.name), table.id),
    index('patients_search_idx').using('gin', table.search.op('gin_trgm_ops')),
    index('patients_phone_idx').using('gin', table.phone.op('gin_trgm_ops')),
  ],
)

/** What the API shows of a patient. */
export const patientColumns = {
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

export const PatientResponse = createResponseSchema('Patient', patientColumns, { allergies: z.array(z.string()) })

const patientFields = {
  name: textField(200),
  dateOfBirth: pastDateField,
  gender: z.enum(genders),
  phone: optionalField(phoneField),
  email: optionalField(emailField),
  address: optionalField(textField(500)),
  bloodGroup: optionalField(z.enum(bloodGroups)),
  allergies: z
    .array(textField(200))
    .max(100)
    .nullable()
    .transform((list) => list ?? []),
  medicalHistory: optionalField(textField(20_000)),
  /** An admin's to set: an account of role `patient`. */
  userId: idField.nullable(),
}

const patientReplacementFields = {
  ...patientFields,
  phone: patientFields.phone.default(null),
  email: patientFields.email.default(null),
  address: patientFields.address.default(null),
  bloodGroup: patientFields.bloodGroup.default(null),
  allergies: patientFields.allergies.default([]),
  medicalHistory: patientFields.medicalHistory.default(null),
  userId: patientFields.userId.optional(),
}

export const NewPatient = z
  .strictObject({ ...patientReplacementFields, self: z.boolean().optional() })
  .meta({ id: 'NewPatient' })
export const PatientReplacement = z.strictObject(patientReplacementFields).meta({ id: 'WholePatient' })
export const PatientPatch = z.strictObject(patientFields).partial().meta({ id: 'PatientPatch' })

export const PatientQuery = listQuery(
  {
    q: textField(200).optional(),
    doctorId: idField.optional(),
    gender: z.enum(genders).optional(),
    deleted: z.enum(['true', 'false']).optional(),
  },
  ['name', 'dateOfBirth', 'createdAt', 'updatedAt'],
)
