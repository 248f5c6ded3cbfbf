import { type AnyColumn, and, eq, exists, isNull, or, type SQL, sql } from 'drizzle-orm'
import { alias, QueryBuilder } from 'drizzle-orm/pg-core'
import type { PageBounds } from '../database/query/keyset-list.ts'
import { appointments } from '../features/appointments/schema.ts'
import { doctors } from '../features/doctors/schema.ts'
import { mappings } from '../features/mappings/schema.ts'
import { patients } from '../features/patients/schema.ts'
import { reports } from '../features/reports/schema.ts'
import type { RowScope } from '../roles.ts'

/*
 * Which rows the caller sees, as SQL. Every statement about patients' data goes through `canSeePatient`, or in a list through
 * `visiblePatientIdIn`; every narrower permission through `narrowToScope`. The caller's id is the parameter `currentUserId`. The one place outside
 * the features that names their tables.
 */

const currentUserId = sql.placeholder('currentUserId')
const patientCreatedByCaller = eq(patients.createdBy, currentUserId)
const patientIsCaller = eq(patients.userId, currentUserId)

// Under names of their own, since the statement around them may join the same tables.
const grantMapping = alias(mappings, 'grant_mapping')
const grantDoctor = alias(doctors, 'grant_doctor')

/** Not deleted. */
export const notDeleted = (table: { deletedAt: AnyColumn }): SQL => isNull(table.deletedAt)

const queryBuilder = new QueryBuilder()
/** The doctor is the caller, and has not been deleted: then nothing is theirs any more. */
const doctorIsCaller = (doctor: { userId: AnyColumn; deletedAt: AnyColumn }) =>
  and(eq(doctor.userId, currentUserId), notDeleted(doctor))
const grantDoctorIsCaller = doctorIsCaller(grantDoctor)

/** A mapping is the grant: the caller is a doctor who treats the patient. */
const callerTreatsPatient = exists(
  queryBuilder
    .select({ one: sql`1` })
    .from(grantMapping)
    .innerJoin(grantDoctor, eq(grantDoctor.id, grantMapping.doctorId))
    .where(and(eq(grantMapping.patientId, patients.id), grantDoctorIsCaller)),
)

/** The patients whose data the caller sees; what is outside is as if it did not exist. */
export const canSeePatient = (scope: RowScope): SQL | undefined =>
  scope === 'all' ? undefined : or(patientCreatedByCaller, patientIsCaller, callerTreatsPatient)

const treatedPatientIds = queryBuilder
  .select({ id: grantMapping.patientId })
  .from(grantMapping)
  .innerJoin(grantDoctor, eq(grantDoctor.id, grantMapping.doctorId))
  .where(grantDoctorIsCaller)
const ownPatientIds = queryBuilder
  .select({ id: patients.id })
  .from(patients)
  .where(and(patientIsCaller, notDeleted(patients)))
const createdPatientIds = queryBuilder
  .select({ id: patients.id })
  .from(patients)
  .where(and(patientCreatedByCaller, notDeleted(patients)))

/** Those of the patients whom the caller added that can be on the page: there may be far more of them. */
const createdPatientIdsOnPage = ({ where, orderBy }: PageBounds) =>
  queryBuilder
    .select({ id: patients.id })
    .from(patients)
    .where(and(patientCreatedByCaller, where))
    .orderBy(...orderBy)
    .limit(sql.placeholder('limit'))

/**
 * The same patients as {@link canSeePatient}, by their ids in `column`, for a list: they are collected from the caller's side,
 * so that it costs what they are, however many others there are. `page` is the list's own, where it is one of patients.
 */
export const visiblePatientIdIn = (scope: RowScope, column: AnyColumn, page?: PageBounds): SQL | undefined =>
  scope === 'all'
    ? undefined
    : sql`${column} = any(array((${page ? createdPatientIdsOnPage(page) : createdPatientIds}) union all (${ownPatientIds}) union all (${treatedPatientIds})))`

const isOwnDoctorProfile = doctorIsCaller(doctors)

/** The appointments that the caller sees: those of patients they see and, for a doctor, their own. */
export const canSeeAppointment = (scope: RowScope): SQL | undefined =>
  scope === 'all' ? undefined : or(patientCreatedByCaller, patientIsCaller, callerTreatsPatient, isOwnDoctorProfile)

/** The appointments of one kind that can be on the page, or all of them. */
const appointmentIdsOnPage = (kind: SQL | undefined, page: PageBounds | undefined) => {
  const all = queryBuilder
    .select({ id: appointments.id })
    .from(appointments)
    .innerJoin(patients, eq(patients.id, appointments.patientId))
    .where(and(kind, page?.where))
  return page ? all.orderBy(...page.orderBy).limit(sql.placeholder('limit')) : all
}

/** The same appointments, for a list: each kind is looked up by an index of its own. */
export const visibleAppointmentIdIn = (scope: RowScope, page?: PageBounds): SQL | undefined => {
  if (scope === 'all') return undefined
  const ofTheirs = sql`${appointments.doctorId} = (${queryBuilder.select({ id: grantDoctor.id }).from(grantDoctor).where(grantDoctorIsCaller)})`
  const kinds = [visiblePatientIdIn(scope, appointments.patientId), ofTheirs].map((kind) =>
    appointmentIdsOnPage(kind, page),
  )
  return sql`${appointments.id} = any(array(${sql.join(
    kinds.map((kind) => sql`(${kind})`),
    sql` union all `,
  )}))`
}

const scopeConditions: Record<Exclude<RowScope, 'all' | 'visible'>, SQL | undefined> = {
  createdByCaller: patientCreatedByCaller,
  createdByOrSelf: or(patientCreatedByCaller, patientIsCaller),
  createdByOrTreatingDoctor: or(patientCreatedByCaller, isOwnDoctorProfile),
  ownProfile: isOwnDoctorProfile,
  uploadedByCaller: eq(reports.uploadedBy, currentUserId),
}

/** Of what the caller sees, the rows that the permission reaches. */
export const narrowToScope = (scope: RowScope): SQL | undefined =>
  scope === 'all' || scope === 'visible' ? undefined : scopeConditions[scope]

/** The patient whose data the record with this id is, of whatever kind it is: UUIDs do not collide. Null where it is no patient's. */
export const patientIdOfRecordSql = (id: SQL): SQL =>
  sql`(select ${patients.id} from ${patients} where ${patients.id} = ${id}
    union all select ${mappings.patientId} from ${mappings} where ${mappings.id} = ${id}
    union all select ${appointments.patientId} from ${appointments} where ${appointments.id} = ${id}
    union all select ${reports.patientId} from ${reports} where ${reports.id} = ${id} limit 1)`
