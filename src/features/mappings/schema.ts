import { index, pgTable, unique, uuid } from 'drizzle-orm/pg-core'
import * as z from 'zod'
import { idColumn, timestampColumn } from '../../database/columns.ts'
import { idField } from '../../http/field-types.ts'
import { newestFirstQuery } from '../../http/list-query.ts'
import { createResponseSchema } from '../../http/response-schema.ts'
import { users } from '../auth/schema.ts'
import { doctors } from '../doctors/schema.ts'
import { patients } from '../patients/schema.ts'

/** A doctor who treats a patient, and so sees them. */
export const mappings = pgTable(
  'mappings',
  {
    id: idColumn(),
    patientId: uuid('patient_id')
      .notNull()
      .references(() => patients.id),
    doctorId: uuid('doctor_id')
      .notNull()
      .references(() => doctors.id),
    createdBy: uuid('created_by')
      .notNull()
      .references(() => users.id),
    createdAt: timestampColumn('created_at').notNull().defaultNow(),
  },
  (table) => [
    unique('mappings_patient_id_doctor_id_key').on(table.patientId, table.doctorId),
    index('mappings_doctor_id_idx').on(table.doctorId, table.patientId),
    index('mappings_created_at_idx').on(table.createdAt, table.id),
  ],
)

/** What the API shows of a mapping, joined with both its sides. */
export const mappingColumns = {
  id: mappings.id,
  patientId: mappings.patientId,
  doctorId: mappings.doctorId,
  createdBy: mappings.createdBy,
  createdAt: mappings.createdAt,
  patient: { id: patients.id, name: patients.name },
  doctor: { id: doctors.id, name: doctors.name, specialization: doctors.specialization },
}

/** What the audit log tells of a mapping. */
export const auditedMappingColumns = { patientId: mappings.patientId, doctorId: mappings.doctorId }

export const MappingResponse = createResponseSchema('Mapping', mappingColumns)

export const NewMapping = z.strictObject({ patientId: idField, doctorId: idField }).meta({ id: 'NewMapping' })
export const MappingQuery = newestFirstQuery({ patientId: idField.optional(), doctorId: idField.optional() })
