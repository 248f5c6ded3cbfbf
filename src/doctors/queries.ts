import { and, count, eq, isNotNull, sql } from 'drizzle-orm'
import type { z } from 'zod'
import type { Caller } from '../access/can.ts'
import { mayUse, type Reach } from '../access/permissions.ts'
import { live, permitted } from '../access/scope.ts'
import { recorded } from '../audit/change.ts'
import { differences } from '../audit/record.ts'
import { audit } from '../audit/schema.ts'
import type { Db } from '../db/client.ts'
import { violates } from '../db/failure.ts'
import { pages, preparedPage } from '../db/pages.ts'
import { prepared } from '../db/prepared.ts'
import { folded, found } from '../db/search.ts'
import { etagOf } from '../db/write.ts'
import { preparedJson } from '../db/written.ts'
import { isStale } from '../http/etag.ts'
import { Problem } from '../http/problem.ts'
import { newId } from '../id.ts'
import { mappings } from '../mappings/schema.ts'
import { type DoctorPatch, type DoctorQuery, doctors, shownDoctor, type WholeDoctor } from './schema.ts'

const { placeholder } = sql

const oneDoctor = prepared((db: Db) =>
  preparedJson(
    db,
    'doctor',
    { shown: shownDoctor, kept: { id: doctors.id, userId: doctors.userId, etag: etagOf(doctors) } },
    (fields) =>
      db
        .select(fields)
        .from(doctors)
        .where(and(eq(doctors.id, placeholder('id')), live(doctors))),
  ),
)

/** @throws {Problem} 404 */
export async function getDoctor(db: Db, id: string) {
  const [row] = await oneDoctor(db, {}).execute({ id })
  if (!row) throw new Problem('not-found')
  return row
}

type Filters = { q: boolean; specialization: boolean }

const doctorPages = pages({
  orders: {
    name: { key: folded(doctors.name), type: 'text', id: doctors.id },
    createdAt: { key: doctors.createdAt, type: 'timestamptz', id: doctors.id },
    experienceYears: { key: sql`coalesce(${doctors.experienceYears}, -1)`, type: 'int', id: doctors.id },
  },
  where: (filters: Filters) =>
    and(
      live(doctors),
      filters.q ? found(doctors.search) : undefined,
      filters.specialization
        ? sql`lower(${doctors.specialization}) = lower(${placeholder('specialization')})`
        : undefined,
    ),
  page: (db, parts) =>
    preparedPage(
      db,
      parts.filters.q ? undefined : 'doctors',
      parts,
      { shown: shownDoctor, kept: { id: doctors.id } },
      (fields) => db.select(fields).from(doctors),
    ),
  count: (db, where) => db.select({ count: count() }).from(doctors).where(where).prepare('doctors_count'),
})

type Query = Pick<z.output<typeof DoctorQuery>, 'q' | 'specialization'>

/** The doctors that `query` asks for: everyone who is signed in sees them. */
export const listDoctors = (db: Db, { q, specialization }: Query) =>
  doctorPages(db, { q: q !== undefined, specialization: specialization !== undefined }, { q, specialization })

type Scope = { reach: Reach; deleted?: boolean; deletes?: boolean }

const endedMapping = { patientId: mappings.patientId, doctorId: mappings.doctorId }
/** A deleted doctor's mappings end, each with its own row in the patient's trail: access that ended does not come back. */
const endMappings = (db: Db) => [
  db
    .$with('ended', {})
    .as(sql`delete from ${mappings} using before where ${mappings.doctorId} = before.id returning ${mappings}.*`),
  db.$with('ended_trail', {}).as(sql`insert into ${audit}
    (id, user_id, role, action, resource, resource_id, patient_id, status, ip, user_agent, request_id, changes)
    select gen_random_uuid(), ${placeholder('me')}::uuid, ${placeholder('role')}, 'mapping.delete', 'mapping', id, patient_id, 204,
      ${placeholder('ip')}, ${placeholder('userAgent')}, ${placeholder('requestId')},
      ${differences.deleted(endedMapping)} from ended as before`),
]
const records = recorded(doctors, shownDoctor, {
  resource: 'doctor',
  changeable: ({ reach, deleted }: Scope) =>
    and(deleted ? isNotNull(doctors.deletedAt) : live(doctors), permitted(reach)),
  beside: (db, { deletes }) => (deletes ? endMappings(db) : []),
})

/** Why a doctor was not changed: there is none (404), not the caller's to change (403), changed since it was read (412), or not in the right state (409). */
async function refusal(db: Db, caller: Caller, id: string): Promise<Problem> {
  const { etag, userId } = await getDoctor(db, id)
  if (caller.reach !== 'all' && userId !== caller.id) return new Problem('forbidden')
  if (isStale(caller.match, etag)) return new Problem('precondition-failed')
  return new Problem('conflict', { detail: 'The doctor is not in a state in which this can be done.' })
}

/** @throws {Problem} 400 over `userId`, 409 where the e-mail, the licence or the account is another doctor's */
export const createDoctor = (db: Db, caller: Caller, values: z.output<typeof WholeDoctor>) =>
  records.insert(db, caller, { ...values, userId: values.userId ?? null, id: newId() })

/**
 * Sets what `values` has and leaves the rest.
 * @throws {Problem} 400 and 403 over `userId`, 404, 403, 409
 */
export async function changeDoctor(db: Db, caller: Caller, id: string, values: z.output<typeof DoctorPatch>) {
  if (values.userId !== undefined && !mayUse(caller.role, 'doctors:link')) {
    await getDoctor(db, id)
    throw new Problem('forbidden', { detail: 'Only an administrator may set userId.' })
  }
  const row = await records.update(db, caller, { reach: caller.reach }, id, values)
  if (!row) throw await refusal(db, caller, id)
  return row
}

/** @throws {Problem} 404 */
export async function deleteDoctor(db: Db, caller: Caller, id: string): Promise<void> {
  const row = await records.update(
    db,
    caller,
    { reach: caller.reach, deletes: true },
    id,
    { deletedAt: new Date() },
    204,
  )
  if (!row) throw await refusal(db, caller, id)
}

/** @throws {Problem} 404, 409 where it is not deleted, or another has its e-mail, licence or account by now */
export async function restoreDoctor(db: Db, caller: Caller, id: string) {
  const row = await records
    .update(db, caller, { reach: caller.reach, deleted: true }, id, { deletedAt: null })
    .catch((error: unknown) => {
      if (!violates(error, 'doctors_account_fkey')) throw error
      throw new Problem('conflict', { detail: 'The account that the doctor was linked to has another role by now.' })
    })
  if (!row) throw await refusal(db, caller, id)
  return row
}
