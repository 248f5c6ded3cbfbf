import { and, count, eq, isNotNull, or, sql } from 'drizzle-orm'
import type { z } from 'zod'
import {
  countDailyUseCte,
  dailyUseWasCounted,
  findDailyLimitProblem,
  getDailyLimit,
} from '../../access/daily-limits.ts'
import { assertPatientAccess } from '../../access/patient-access.ts'
import { roleMay } from '../../access/permissions.ts'
import { canSeePatient, narrowToScope, notDeleted, visiblePatientIdIn } from '../../access/visibility.ts'
import { getAuditedColumns } from '../../audit/audited-columns.ts'
import { auditEntryCte, auditParams } from '../../audit/entry-cte.ts'
import type { Config } from '../../config.ts'
import type { DatabaseOrTransaction, RequestContext } from '../../context.ts'
import { newId } from '../../database/id.ts'
import { preparedJsonQuery } from '../../database/query/json-rows.ts'
import { defineKeysetList, preparedPageQuery } from '../../database/query/keyset-list.ts'
import { preparedStatement } from '../../database/query/prepared-statement.ts'
import { foldedText, matchesSearch, phoneContains, toPhoneDigits } from '../../database/query/search.ts'
import {
  etagSql,
  type IfMatch,
  ifMatchSql,
  insertSql,
  type RowValues,
  toRowJson,
  updateSql,
} from '../../database/query/write-sql.ts'
import { isStaleIfMatch } from '../../http/etag.ts'
import { invalidFieldProblem, Problem } from '../../http/problem.ts'
import { limitExceededProblem } from '../../http/usage-limits.ts'
import type { RowScope } from '../../roles.ts'
import { users } from '../auth/schema.ts'
import { doctors } from '../doctors/schema.ts'
import { mappings } from '../mappings/schema.ts'
import { type NewPatient, type PatientPatch, type PatientQuery, patientColumns, patients } from './schema.ts'

const { placeholder } = sql
type PatientVariant = { scope: RowScope; deleted?: boolean }

/** The patients that the caller sees; deleted ones only where they are asked for. */
const patientIsVisible = ({ scope, deleted }: PatientVariant) =>
  and(deleted ? isNotNull(patients.deletedAt) : notDeleted(patients), canSeePatient(scope))

const patientEtag = etagSql(patients)
const patientJson = { jsonColumns: patientColumns, serverColumns: { id: patients.id, etag: patientEtag } }

const patientStatement = preparedStatement((db: DatabaseOrTransaction, variant: PatientVariant) =>
  preparedJsonQuery(db, 'patient', patientJson, (fields) =>
    db
      .select(fields)
      .from(patients)
      .where(and(eq(patients.id, placeholder('id')), patientIsVisible(variant))),
  ),
)

/** @throws {Problem} 404 */
export async function getPatient(db: DatabaseOrTransaction, context: RequestContext, id: string) {
  const [row] = await patientStatement(db, { scope: context.scope }).execute({
    currentUserId: context.principal.id,
    id,
  })
  if (!row) throw new Problem('not-found')
  return row
}

const isTreatedByDoctor = sql`${patients.id} = any(array(select ${mappings.patientId} from ${mappings}
  join ${doctors} on ${doctors.id} = ${mappings.doctorId} where ${and(eq(doctors.id, placeholder('doctorId')), notDeleted(doctors))}))`

type PatientFilters = PatientVariant & { q: boolean; digits: boolean; doctorId: boolean; gender: boolean }

const patientList = defineKeysetList({
  orders: {
    name: { key: foldedText(patients.name), type: 'text', id: patients.id },
    dateOfBirth: { key: patients.dateOfBirth, type: 'date', id: patients.id },
    createdAt: { key: patients.createdAt, type: 'timestamptz', id: patients.id },
    updatedAt: { key: patients.updatedAt, type: 'timestamptz', id: patients.id },
  },
  visibleRows: ({ scope }: PatientFilters, page) => visiblePatientIdIn(scope, patients.id, page),
  where: (filters: PatientFilters) =>
    and(
      filters.deleted ? isNotNull(patients.deletedAt) : notDeleted(patients),
      filters.q
        ? or(matchesSearch(patients.search), filters.digits ? phoneContains(patients.phone) : undefined)
        : undefined,
      filters.doctorId ? isTreatedByDoctor : undefined,
      filters.gender ? eq(patients.gender, placeholder('gender')) : undefined,
    ),
  preparePage: (db, parts) =>
    preparedPageQuery(
      db,
      parts.filters.q ? undefined : 'patients',
      parts,
      { jsonColumns: patientColumns, serverColumns: { id: patients.id } },
      (fields) => db.select(fields).from(patients),
    ),
  prepareCount: (db, where) => db.select({ count: count() }).from(patients).where(where).prepare('patients_count'),
})

type PatientListQuery = Partial<Pick<z.output<typeof PatientQuery>, 'q' | 'doctorId' | 'gender' | 'deleted'>>

/** The caller's patients that `query` asks for. */
export function listPatients(db: DatabaseOrTransaction, context: RequestContext, query: PatientListQuery) {
  const digits = toPhoneDigits(query.q)
  const parameters = { q: query.q, digits, doctorId: query.doctorId, gender: query.gender }
  const filters = {
    q: query.q !== undefined,
    digits: digits !== undefined,
    doctorId: query.doctorId !== undefined,
    gender: query.gender !== undefined,
  }
  return patientList(
    db,
    { scope: context.scope, deleted: query.deleted === 'true', ...filters },
    { currentUserId: context.principal.id, ...parameters },
  )
}

/** A patient in the audit log. */
export const patientAuditOptions = {
  resource: 'patient',
  auditedColumns: getAuditedColumns(patients, patientColumns),
  resourceId: patients.id,
  patientId: patients.id,
}

const insertPatientStatement = preparedStatement((db: DatabaseOrTransaction, { isLimited }: { isLimited: boolean }) => {
  const dailyUse = isLimited ? [countDailyUseCte(db, { candidate: sql`(select) as candidate`, bytes: sql`0` })] : []
  const inserted = db.$with('patients', {}).as(insertSql(patients, isLimited ? dailyUseWasCounted : undefined))
  const auditEntry = auditEntryCte(db, { ...patientAuditOptions, change: 'created', from: sql`${patients}` })
  return preparedJsonQuery(db, 'patient_insert', patientJson, (fields) =>
    db
      .with(...dailyUse, inserted, auditEntry)
      .select(fields)
      .from(patients),
  )
})

const updatePatientStatement = preparedStatement((db: DatabaseOrTransaction, variant: PatientVariant) => {
  const isChangeable = and(patientIsVisible(variant), narrowToScope(variant.scope), ifMatchSql(patientEtag))
  const before = db
    .$with('before', {})
    .as(sql`select * from ${patients} where ${and(eq(patients.id, placeholder('id')), isChangeable)} for no key update`)
  const updated = db.$with('patients', {}).as(updateSql(patients))
  const auditEntry = auditEntryCte(db, { ...patientAuditOptions, change: 'changed', from: sql`before, ${patients}` })
  return preparedJsonQuery(db, 'patient_update', patientJson, (fields) =>
    db.with(before, updated, auditEntry).select(fields).from(patients),
  )
})

/** Why a patient was not changed: not seen (404), not the caller's to change (403), changed since it was read (412),
 * or not in a state for it (409). */
async function findPatientChangeProblem(
  db: DatabaseOrTransaction,
  context: RequestContext,
  id: string,
  ifMatch: IfMatch,
): Promise<Problem> {
  await assertPatientAccess(db, context, id)
  const { etag } = await getPatient(db, context, id)
  if (isStaleIfMatch(ifMatch, etag)) return new Problem('precondition-failed')
  return new Problem('conflict', { detail: 'The patient is not in a state in which this can be done.' })
}

/**
 * Sets what `values` has and leaves the rest.
 * @throws {Problem} 404, 403, 412, 409
 */
async function updatePatient(
  db: DatabaseOrTransaction,
  context: RequestContext,
  { id, ifMatch, deleted = false, status = 200 }: { id: string; ifMatch: IfMatch; deleted?: boolean; status?: number },
  values: RowValues<typeof patients>,
) {
  const [row] = await updatePatientStatement(db, { scope: context.scope, deleted }).execute({
    ...auditParams(context, status),
    id,
    ifMatch,
    row: toRowJson(patients, values),
  })
  if (!row) throw await findPatientChangeProblem(db, context, id, ifMatch)
  return row
}

/** A link to an account is an admin's to make, and to an account of role `patient`. */
async function assertMayLink(
  db: DatabaseOrTransaction,
  context: RequestContext,
  userId: string | null | undefined,
): Promise<void> {
  if (userId === undefined) return
  if (!roleMay(context.principal.role, 'patients:link'))
    throw new Problem('forbidden', { detail: 'Only an administrator may set userId.' })
  if (userId === null) return
  const [account] = await db
    .select({ id: users.id })
    .from(users)
    .where(and(eq(users.id, userId), eq(users.role, 'patient')))
  if (!account) throw invalidFieldProblem('userId', 'must be an account of role patient')
}

/**
 * @throws {Problem} 400 and 403 over `self` and `userId`, 409 where the account has a patient already, 429 where it has
 * added as many as it may in a day
 */
export async function createPatient(
  db: DatabaseOrTransaction,
  config: Config,
  context: RequestContext,
  { self, ...values }: z.output<typeof NewPatient>,
) {
  await assertMayLink(db, context, values.userId)
  if (self && !roleMay(context.principal.role, 'patients:createSelf'))
    throw invalidFieldProblem('self', 'is for accounts of role patient')
  const userId = self ? context.principal.id : (values.userId ?? null)
  const limit = getDailyLimit(config, context.principal.role, 'patients')
  const [inserted] = await insertPatientStatement(db, { isLimited: limit !== undefined }).execute({
    ...auditParams(context, 201),
    ...limit,
    row: toRowJson(patients, { ...values, userId, id: newId(), createdBy: context.principal.id }),
  })
  if (inserted) return inserted
  // That day may have ended meanwhile.
  throw (
    (limit && (await findDailyLimitProblem(db, config, context.principal.id, limit))) ??
    limitExceededProblem(config, 'PATIENTS_PER_ACCOUNT_DAY', 1)
  )
}

/**
 * Sets what `values` has and leaves the rest.
 * @throws {Problem} 400 and 403 over `userId`, 404, 412, 409
 */
export async function changePatient(
  db: DatabaseOrTransaction,
  context: RequestContext,
  id: string,
  ifMatch: IfMatch,
  values: z.output<typeof PatientPatch>,
) {
  await assertMayLink(db, context, values.userId).catch(async (problem: unknown) => {
    await assertPatientAccess(db, context, id)
    throw problem
  })
  return updatePatient(db, context, { id, ifMatch }, values)
}

/** @throws {Problem} 404, 403, 412 */
export async function deletePatient(db: DatabaseOrTransaction, context: RequestContext, id: string, ifMatch: IfMatch) {
  await updatePatient(db, context, { id, ifMatch, status: 204 }, { deletedAt: new Date() })
}

/** @throws {Problem} 404, 409 where it is not deleted, 412 */
export const restorePatient = (db: DatabaseOrTransaction, context: RequestContext, id: string, ifMatch: IfMatch) =>
  updatePatient(db, context, { id, ifMatch, deleted: true }, { deletedAt: null })
