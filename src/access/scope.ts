import { type AnyColumn, and, eq, exists, isNull, or, type SQL, sql } from 'drizzle-orm'
import { alias, QueryBuilder } from 'drizzle-orm/pg-core'
import { doctors } from '../doctors/schema.ts'
import { mappings } from '../mappings/schema.ts'
import { patients } from '../patients/schema.ts'
import { reports } from '../reports/schema.ts'
import type { Reach } from './permissions.ts'

/*
 * Which rows the caller sees, as SQL. Every statement about patients' data goes through `visible`, every narrower
 * permission through `permitted`. The caller's id is the parameter `me`. The one place outside the features that
 * names their tables.
 */

const me = sql.placeholder('me')
const added = eq(patients.createdBy, me)
const is = eq(patients.userId, me)

// Under names of their own, since the statement around them may join the same tables.
const grant = alias(mappings, 'grant_mapping')
const grantee = alias(doctors, 'grant_doctor')

/** A mapping is the grant: the caller is a doctor who treats the patient. */
const treats = exists(
  new QueryBuilder()
    .select({ one: sql`1` })
    .from(grant)
    .innerJoin(grantee, eq(grantee.id, grant.doctorId))
    .where(and(eq(grant.patientId, patients.id), eq(grantee.userId, me), isNull(grantee.deletedAt))),
)

/** Not deleted. */
export const live = (table: { deletedAt: AnyColumn }): SQL => isNull(table.deletedAt)

/** The patients whose data the caller sees; what is outside is as if it did not exist. */
export const visible = (reach: Reach): SQL | undefined => (reach === 'all' ? undefined : or(added, is, treats))

/** The doctor is the caller, and has not been deleted: then nothing is theirs any more. */
const ownDoctor = and(eq(doctors.userId, me), isNull(doctors.deletedAt))

/** The appointments that the caller sees: those of patients they see and, for a doctor, their own. */
export const visibleAppointment = (reach: Reach): SQL | undefined =>
  reach === 'all' ? undefined : or(added, is, treats, ownDoctor)

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
