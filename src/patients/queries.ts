import { and, count, eq, isNotNull, or, sql } from 'drizzle-orm'
import type { z } from 'zod'
import type { Caller } from '../access/can.ts'
import { dailyLimit, refusalOfUse } from '../access/daily-limits.ts'
import { beyondLimit } from '../access/limits.ts'
import { needPatient } from '../access/patient.ts'
import { mayUse, type Reach } from '../access/permissions.ts'
import { listed, live, permitted, visible } from '../access/scope.ts'
import { recorded } from '../audit/change.ts'
import { users } from '../auth/schema.ts'
import type { Config } from '../config.ts'
import type { Db } from '../db/client.ts'
import { pages, preparedPage } from '../db/pages.ts'
import { prepared } from '../db/prepared.ts'
import { calls, digitsOf, folded, found } from '../db/search.ts'
import { etagOf } from '../db/write.ts'
import { preparedJson } from '../db/written.ts'
import { doctors } from '../doctors/schema.ts'
import { isStale } from '../http/etag.ts'
import { invalid, Problem } from '../http/problem.ts'
import { newId } from '../id.ts'
import { mappings } from '../mappings/schema.ts'
import { type NewPatient, type PatientPatch, type PatientQuery, patients, shownPatient } from './schema.ts'

const { placeholder } = sql
type Scope = { reach: Reach; deleted?: boolean }

/** The patients that the caller sees; deleted ones only where they are asked for. */
const seen = ({ reach, deleted }: Scope) =>
  and(deleted ? isNotNull(patients.deletedAt) : live(patients), visible(reach))

const onePatient = prepared((db: Db, scope: Scope) =>
  preparedJson(db, 'patient', { shown: shownPatient, kept: { id: patients.id, etag: etagOf(patients) } }, (fields) =>
    db
      .select(fields)
      .from(patients)
      .where(and(eq(patients.id, placeholder('id')), seen(scope))),
  ),
)

/** @throws {Problem} 404 */
export async function getPatient(db: Db, caller: Caller, id: string) {
  const [row] = await onePatient(db, { reach: caller.reach }).execute({ me: caller.id, id })
  if (!row) throw new Problem('not-found')
  return row
}

const treatedBy = sql`${patients.id} = any(array(select ${mappings.patientId} from ${mappings}
  join ${doctors} on ${doctors.id} = ${mappings.doctorId} where ${and(eq(doctors.id, placeholder('doctorId')), live(doctors))}))`

type Filters = Scope & { q: boolean; digits: boolean; doctorId: boolean; gender: boolean }

const patientPages = pages({
  orders: {
    name: { key: folded(patients.name), type: 'text', id: patients.id },
    dateOfBirth: { key: patients.dateOfBirth, type: 'date', id: patients.id },
    createdAt: { key: patients.createdAt, type: 'timestamptz', id: patients.id },
    updatedAt: { key: patients.updatedAt, type: 'timestamptz', id: patients.id },
  },
  scope: ({ reach }: Filters, page) => listed(reach, patients.id, page),
  where: (filters: Filters) =>
    and(
      filters.deleted ? isNotNull(patients.deletedAt) : live(patients),
      filters.q ? or(found(patients.search), filters.digits ? calls(patients.phone) : undefined) : undefined,
      filters.doctorId ? treatedBy : undefined,
      filters.gender ? eq(patients.gender, placeholder('gender')) : undefined,
    ),
  page: (db, parts) =>
    preparedPage(
      db,
      parts.filters.q ? undefined : 'patients',
      parts,
      { shown: shownPatient, kept: { id: patients.id } },
      (fields) => db.select(fields).from(patients),
    ),
  count: (db, where) => db.select({ count: count() }).from(patients).where(where).prepare('patients_count'),
})

type Query = Partial<Pick<z.output<typeof PatientQuery>, 'q' | 'doctorId' | 'gender' | 'deleted'>>

/** The caller's patients that `query` asks for. */
export function listPatients(db: Db, caller: Caller, query: Query) {
  const digits = digitsOf(query.q)
  const parameters = { q: query.q, digits, doctorId: query.doctorId, gender: query.gender }
  const filters = {
    q: query.q !== undefined,
    digits: digits !== undefined,
    doctorId: query.doctorId !== undefined,
    gender: query.gender !== undefined,
  }
  return patientPages(
    db,
    { reach: caller.reach, deleted: query.deleted === 'true', ...filters },
    { me: caller.id, ...parameters },
  )
}

const records = recorded(patients, shownPatient, {
  resource: 'patient',
  patientId: patients.id,
  changeable: (scope: Scope) => and(seen(scope), permitted(scope.reach)),
})

/** Why a patient was not changed: not seen (404), not the caller's to change (403), changed since it was read (412),
 * or not in a state for it (409). */
async function refusal(db: Db, caller: Caller, id: string): Promise<Problem> {
  await needPatient(db, caller, id)
  const { etag } = await getPatient(db, caller, id)
  if (isStale(caller.match, etag)) return new Problem('precondition-failed')
  return new Problem('conflict', { detail: 'The patient is not in a state in which this can be done.' })
}

/** A link to an account is an admin's to make, and to an account of role `patient`. */
async function checkLink(db: Db, caller: Caller, userId: string | null | undefined): Promise<void> {
  if (userId === undefined) return
  if (!mayUse(caller.role, 'patients:link'))
    throw new Problem('forbidden', { detail: 'Only an administrator may set userId.' })
  if (userId === null) return
  const [account] = await db
    .select({ id: users.id })
    .from(users)
    .where(and(eq(users.id, userId), eq(users.role, 'patient')))
  if (!account) throw invalid('userId', 'must be an account of role patient')
}

/**
 * @throws {Problem} 400 and 403 over `self` and `userId`, 409 where the account has a patient already, 429 where it has
 * added as many as it may in a day
 */
export async function createPatient(
  db: Db,
  config: Config,
  caller: Caller,
  { self, ...values }: z.output<typeof NewPatient>,
) {
  await checkLink(db, caller, values.userId)
  if (self && !mayUse(caller.role, 'patients:createSelf')) throw invalid('self', 'is for accounts of role patient')
  const userId = self ? caller.id : (values.userId ?? null)
  const row = { ...values, userId, id: newId(), createdBy: caller.id }
  const limit = dailyLimit(config, caller.role, 'patients')
  if (!limit) return records.insert(db, caller, row)
  const inserted = await records.insertWithin(db, caller, row, limit)
  // That day may have ended meanwhile.
  const refusal = async () =>
    (await refusalOfUse(db, config, caller.id, limit)) ?? beyondLimit(config, 'PATIENTS_PER_ACCOUNT_DAY', 1)
  if (!inserted) throw await refusal()
  return inserted
}

/**
 * Sets what `values` has and leaves the rest.
 * @throws {Problem} 400 and 403 over `userId`, 404, 409
 */
export async function changePatient(db: Db, caller: Caller, id: string, values: z.output<typeof PatientPatch>) {
  await checkLink(db, caller, values.userId).catch(async (problem: unknown) => {
    await needPatient(db, caller, id)
    throw problem
  })
  const row = await records.update(db, caller, { reach: caller.reach }, id, values)
  if (!row) throw await refusal(db, caller, id)
  return row
}

/** @throws {Problem} 404, 403 */
export async function deletePatient(db: Db, caller: Caller, id: string): Promise<void> {
  const row = await records.update(db, caller, { reach: caller.reach }, id, { deletedAt: new Date() }, 204)
  if (!row) throw await refusal(db, caller, id)
}

/** @throws {Problem} 404, 409 where it is not deleted */
export async function restorePatient(db: Db, caller: Caller, id: string) {
  const row = await records.update(db, caller, { reach: caller.reach, deleted: true }, id, { deletedAt: null })
  if (!row) throw await refusal(db, caller, id)
  return row
}
