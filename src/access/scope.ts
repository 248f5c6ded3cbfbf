import { type AnyColumn, and, eq, exists, isNull, or, type SQL, sql } from 'drizzle-orm'
import { alias, QueryBuilder } from 'drizzle-orm/pg-core'
import { appointments } from '../appointments/schema.ts'
import type { Page } from '../db/pages.ts'
import { doctors } from '../doctors/schema.ts'
import { mappings } from '../mappings/schema.ts'
import { patients } from '../patients/schema.ts'
import { reports } from '../reports/schema.ts'
import type { Reach } from './permissions.ts'

/*
 * Which rows the caller sees, as SQL. Every statement about patients' data goes through `visible`, or in a list through
 * `listed`; every narrower permission through `permitted`. The caller's id is the parameter `me`. The one place outside
 * the features that names their tables.
 */

const me = sql.placeholder('me')
const added = eq(patients.createdBy, me)
const is = eq(patients.userId, me)

// Under names of their own, since the statement around them may join the same tables.
const grant = alias(mappings, 'grant_mapping')
const grantee = alias(doctors, 'grant_doctor')

/** Not deleted. */
export const live = (table: { deletedAt: AnyColumn }): SQL => isNull(table.deletedAt)

const query = new QueryBuilder()
/** The doctor is the caller, and has not been deleted: then nothing is theirs any more. */
const isCaller = (doctor: { userId: AnyColumn; deletedAt: AnyColumn }) => and(eq(doctor.userId, me), live(doctor))
const isGrantee = isCaller(grantee)

/** A mapping is the grant: the caller is a doctor who treats the patient. */
const treats = exists(
  query
    .select({ one: sql`1` })
    .from(grant)
    .innerJoin(grantee, eq(grantee.id, grant.doctorId))
    .where(and(eq(grant.patientId, patients.id), isGrantee)),
)

/** The patients whose data the caller sees; what is outside is as if it did not exist. */
export const visible = (reach: Reach): SQL | undefined => (reach === 'all' ? undefined : or(added, is, treats))

const treatedPatients = query
  .select({ id: grant.patientId })
  .from(grant)
  .innerJoin(grantee, eq(grantee.id, grant.doctorId))
  .where(isGrantee)
const ownPatients = query
  .select({ id: patients.id })
  .from(patients)
  .where(and(is, live(patients)))
const addedPatients = query
  .select({ id: patients.id })
  .from(patients)
  .where(and(added, live(patients)))

/** Those of the patients whom the caller added that can be on the page: there may be far more of them. */
const addedOnPage = ({ where, orderBy }: Page) =>
  query
    .select({ id: patients.id })
    .from(patients)
    .where(and(added, where))
    .orderBy(...orderBy)
    .limit(sql.placeholder('limit'))

/**
 * The same patients as {@link visible}, by their ids in `column`, for a list: they are collected from the caller's side,
 * so that it costs what they are, however many others there are. `page` is the list's own, where it is one of patients.
 */
export const listed = (reach: Reach, column: AnyColumn, page?: Page): SQL | undefined =>
  reach === 'all'
    ? undefined
    : sql`${column} = any(array((${page ? addedOnPage(page) : addedPatients}) union all (${ownPatients}) union all (${treatedPatients})))`

const ownDoctor = isCaller(doctors)

/** The appointments that the caller sees: those of patients they see and, for a doctor, their own. */
export const visibleAppointment = (reach: Reach): SQL | undefined =>
  reach === 'all' ? undefined : or(added, is, treats, ownDoctor)

/** The appointments of one kind that can be on the page, or all of them. */
const appointmentsOnPage = (kind: SQL | undefined, page: Page | undefined) => {
  const all = query
    .select({ id: appointments.id })
    .from(appointments)
    .innerJoin(patients, eq(patients.id, appointments.patientId))
    .where(and(kind, page?.where))
  return page ? all.orderBy(...page.orderBy).limit(sql.placeholder('limit')) : all
}

/** The same appointments, for a list: each kind is looked up by an index of its own. */
export const listedAppointments = (reach: Reach, page?: Page): SQL | undefined => {
  if (reach === 'all') return undefined
  const ofTheirs = sql`${appointments.doctorId} = (${query.select({ id: grantee.id }).from(grantee).where(isGrantee)})`
  const kinds = [listed(reach, appointments.patientId), ofTheirs].map((kind) => appointmentsOnPage(kind, page))
  return sql`${appointments.id} = any(array(${sql.join(
    kinds.map((kind) => sql`(${kind})`),
    sql` union all `,
  )}))`
}

const narrower: Record<Exclude<Reach, 'all' | 'seen'>, SQL | undefined> = {
  added,
  addedOrIs: or(added, is),
  addedOrTreats: or(added, ownDoctor),
  own: ownDoctor,
  uploaded: eq(reports.uploadedBy, me),
}

/** Of what the caller sees, the rows that the permission reaches. */
export const permitted = (reach: Reach): SQL | undefined =>
  reach === 'all' || reach === 'seen' ? undefined : narrower[reach]
