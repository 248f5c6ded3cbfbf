import { sql } from 'drizzle-orm'
import { check, foreignKey, index, json, pgTable, smallint, text, uniqueIndex, uuid } from 'drizzle-orm/pg-core'
import * as z from 'zod'
import { formerRole, users } from '../auth/schema.ts'
import { deletedAt, history, id } from '../db/columns.ts'
import { folded } from '../db/search.ts'
import { shapeOf } from '../db/shape.ts'
import { email, id as idField, text as line, optional, phone } from '../http/fields.ts'
import { listQuery } from '../http/page.ts'
import { timeZone, type WorkingHours, workingHours } from './hours.ts'

export const doctors = pgTable(
  'doctors',
  {
    id: id(),
    name: text('name').notNull(),
    specialization: text('specialization').notNull(),
    email: text('email').notNull(),
    phone: text('phone'),
    licenseNumber: text('license_number'),
    experienceYears: smallint('experience_years'),
    timeZone: text('time_zone').notNull(),
    workingHours: json('working_hours').$type<WorkingHours>(),
    userId: uuid('user_id'),
    ...history(),
    deletedAt: deletedAt(),
    // Null while deleted: the link then asks nothing of the account.
    userRole: formerRole('user_role').generatedAlwaysAs(sql`case when deleted_at is null then 'doctor'::role end`),
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
    index('doctors_name_idx').on(folded(table.name), table.id),
    index('doctors_specialization_idx').on(sql`lower(${table.specialization})`),
    index('doctors_search_idx').using('gin', table.search.op('gin_trgm_ops')),
  ],
)

/** What the API shows of a doctor. */
export const shownDoctor = {
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

export const Doctor = shapeOf('Doctor', shownDoctor, { workingHours: workingHours.nullable() })

const fields = {
  name: line(200),
  specialization: line(200),
  email,
  phone: optional(phone),
  licenseNumber: optional(line(200)),
  experienceYears: z.int().min(0).max(80).nullable(),
  timeZone: optional(timeZone).transform((zone) => zone ?? 'UTC'),
  workingHours: workingHours.nullable(),
  /** An admin's to set: an account of role `doctor`. */
  userId: idField.nullable(),
}

export const WholeDoctor = z
  .strictObject({
    ...fields,
    phone: fields.phone.default(null),
    licenseNumber: fields.licenseNumber.default(null),
    experienceYears: fields.experienceYears.default(null),
    timeZone: fields.timeZone.default('UTC'),
    workingHours: fields.workingHours.default(null),
    userId: fields.userId.optional(),
  })
  .meta({ id: 'WholeDoctor' })
export const DoctorPatch = z.strictObject(fields).partial().meta({ id: 'DoctorPatch' })

export const DoctorQuery = listQuery({ q: line(200).optional(), specialization: line(200).optional() }, [
  'name',
  'createdAt',
  'experienceYears',
])
