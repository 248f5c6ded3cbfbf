import { sql } from 'drizzle-orm'
import { check, foreignKey, index, json, pgTable, smallint, text, uniqueIndex, uuid } from 'drizzle-orm/pg-core'
import * as z from 'zod'
import { deletedAtColumn, idColumn, versionColumns } from '../../database/columns.ts'
import { foldedText } from '../../database/query/search.ts'
import { emailField, idField, optionalField, phoneField, textField } from '../../http/field-types.ts'
import { listQuery } from '../../http/list-query.ts'
import { createResponseSchema } from '../../http/response-schema.ts'
import { formerRoleEnum, users } from '../auth/schema.ts'
import { timeZoneField, type WorkingHours, workingHoursField } from './working-hours.ts'

export const doctors = pgTable(
  'doctors',
  {
    id: idColumn(),
    name: text('name').notNull(),
    specialization: text('specialization').notNull(),
    email: text('email').notNull(),
    phone: text('phone'),
    licenseNumber: text('license_number'),
    experienceYears: smallint('experience_years'),
    timeZone: text('time_zone').notNull(),
    workingHours: json('working_hours').$type<WorkingHours>(),
    userId: uuid('user_id'),
    ...versionColumns(),
    deletedAt: deletedAtColumn(),
    // Null while deleted: the link then asks nothing of the account.
    userRole: formerRoleEnum('user_role').generatedAlwaysAs(sql`case when deleted_at is null then 'doctor'::role end`),
    search: text('search').generatedAlwaysAs(sql`fold(name || chr(10) || specialization || chr(10) || email)`),
  },
  (table) => [
    uniqueIndex('doctors_email_key').on(table.email).where(sql`deleted_at is null`),
    uniqueIndex('doctors_license_number_key').on(table.licenseNumber).where(sql`deleted_at is null`),
    uniqueIndex('doctors_user_id_key').on(table.userId).where(sql`deleted_at is null`),
    foreignKey({
      name: 'doctors_account_fkey',
      columns: [table.userId, table.userRole],
      foreignColumns: [users.id, users.formerRole],
    }),
    check('doctors_experience_years', sql`experience_years between 0 and 80`),
    index('doctors_created_at_idx').on(table.createdAt, table.id),
    index('doctors_name_idx').on(foldedText(table.name), table.id),
    index('doctors_specialization_idx').on(sql`lower(${table.specialization})`),
    index('doctors_search_idx').using('gin', table.search.op('gin_trgm_ops')),
  ],
)

/** What the API shows of a doctor. */
export const doctorColumns = {
  id: doctors.id,
  name: doctors.name,
  specialization: doctors.specialization,
  email: doctors.email,
  phone: doctors.phone,
  licenseNumber: doctors.licenseNumber,
  experienceYears: doctors.experienceYears,
  timeZone: doctors.timeZone,
  workingHours: doctors.workingHours,
  userId: doctors.userId,
  createdAt: doctors.createdAt,
  updatedAt: doctors.updatedAt,
}

export const DoctorResponse = createResponseSchema('Doctor', doctorColumns, {
  workingHours: workingHoursField.nullable(),
})

const doctorFields = {
  name: textField(200),
  specialization: textField(200),
  email: emailField,
  phone: optionalField(phoneField),
  licenseNumber: optionalField(textField(200)),
  experienceYears: z.int().min(0).max(80).nullable(),
  timeZone: optionalField(timeZoneField).transform((zone) => zone ?? 'UTC'),
  workingHours: workingHoursField.nullable(),
  /** An admin's to set: an account of role `doctor`. */
  userId: idField.nullable(),
}

export const DoctorReplacement = z
  .strictObject({
    ...doctorFields,
    phone: doctorFields.phone.default(null),
    licenseNumber: doctorFields.licenseNumber.default(null),
    experienceYears: doctorFields.experienceYears.default(null),
    timeZone: doctorFields.timeZone.default('UTC'),
    workingHours: doctorFields.workingHours.default(null),
    userId: doctorFields.userId.optional(),
  })
  .meta({ id: 'WholeDoctor' })
export const DoctorPatch = z.strictObject(doctorFields).partial().meta({ id: 'DoctorPatch' })

export const DoctorQuery = listQuery({ q: textField(200).optional(), specialization: textField(200).optional() }, [
  'name',
  'createdAt',
  'experienceYears',
])
