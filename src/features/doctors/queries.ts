import { and, count, eq, isNotNull, sql } from 'drizzle-orm'
import type { z } from 'zod'
import { roleMay } from '../../access/permissions.ts'
import { narrowToScope, notDeleted } from '../../access/visibility.ts'
import { getAuditedColumns } from '../../audit/audited-columns.ts'
import { auditEntryCte, auditParams } from '../../audit/entry-cte.ts'
import type { DatabaseOrTransaction, RequestContext } from '../../context.ts'
import { violatesConstraint } from '../../database/errors.ts'
import { newId } from '../../database/id.ts'
import { preparedJsonQuery } from '../../database/query/json-rows.ts'
import { defineKeysetList, preparedPageQuery } from '../../database/query/keyset-list.ts'
import { preparedStatement } from '../../database/query/prepared-statement.ts'
import { foldedText, matchesSearch } from '../../database/query/search.ts'
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
import { Problem } from '../../http/problem.ts'
import type { RowScope } from '../../roles.ts'
import { auditedMappingColumns, mappings } from '../mappings/schema.ts'
import { type DoctorPatch, type DoctorQuery, type DoctorReplacement, doctorColumns, doctors } from './schema.ts'

const { placeholder } = sql

const doctorEtag = etagSql(doctors)
const doctorJson = {
  jsonColumns: doctorColumns,
  serverColumns: { id: doctors.id, userId: doctors.userId, etag: doctorEtag },
}

const doctorStatement = preparedStatement((db: DatabaseOrTransaction) =>
  preparedJsonQuery(db, 'doctor', doctorJson, (fields) =>
    db
      .select(fields)
      .from(doctors)
      .where(and(eq(doctors.id, placeholder('id')), notDeleted(doctors))),
  ),
)

/** @throws {Problem} 404 */
export async function getDoctor(db: DatabaseOrTransaction, id: string) {
  const [row] = await doctorStatement(db, {}).execute({ id })
  if (!row) throw new Problem('not-found')
  return row
}

type DoctorFilters = { q: boolean; specialization: boolean }

const doctorList = defineKeysetList({
  orders: {
    name: { key: foldedText(doctors.name), type: 'text', id: doctors.id },
    createdAt: { key: doctors.createdAt, type: 'timestamptz', id: doctors.id },
    experienceYears: { key: sql`coalesce(${doctors.experienceYears}, -1)`, type: 'int', id: doctors.id },
  },
  where: (filters: DoctorFilters) =>
    and(
      notDeleted(doctors),
      filters.q ? matchesSearch(doctors.search) : undefined,
      filters.specialization
        ? sql`lower(${doctors.specialization}) = lower(${placeholder('specialization')})`
        : undefined,
    ),
  preparePage: (db, parts) =>
    preparedPageQuery(
      db,
      parts.filters.q ? undefined : 'doctors',
      parts,
      { jsonColumns: doctorColumns, serverColumns: { id: doctors.id } },
      (fields) => db.select(fields).from(doctors),
    ),
  prepareCount: (db, where) => db.select({ count: count() }).from(doctors).where(where).prepare('doctors_count'),
})

type DoctorListQuery = Pick<z.output<typeof DoctorQuery>, 'q' | 'specialization'>

/** The doctors that `query` asks for: everyone who is signed in sees them. */
export const listDoctors = (db: DatabaseOrTransaction, { q, specialization }: DoctorListQuery) =>
  doctorList(db, { q: q !== undefined, specialization: specialization !== undefined }, { q, specialization })

/** A doctor in the audit log. */
export const doctorAuditOptions = {
  resource: 'doctor',
  auditedColumns: getAuditedColumns(doctors, doctorColumns),
  resourceId: doctors.id,
}

const insertDoctorStatement = preparedStatement((db: DatabaseOrTransaction) => {
  const inserted = db.$with('doctors', {}).as(insertSql(doctors))
  const auditEntry = auditEntryCte(db, { ...doctorAuditOptions, change: 'created', from: sql`${doctors}` })
  return preparedJsonQuery(db, 'doctor_insert', doctorJson, (fields) =>
    db.with(inserted, auditEntry).select(fields).from(doctors),
  )
})

/** A deleted doctor's mappings end, each with its own row in the patient's trail: access that ended does not come back. */
const endMappingsCtes = (db: DatabaseOrTransaction) => [
  db
    .$with('ended', {})
    .as(sql`delete from ${mappings} using before where ${mappings.doctorId} = before.id returning ${mappings}.*`),
  auditEntryCte(
    db,
    {
      resource: 'mapping',
      auditedColumns: auditedMappingColumns,
      change: 'deleted',
      from: sql`ended as before`,
      entryId: sql`gen_random_uuid()`,
      resourceId: sql`before.id`,
      patientId: sql`before.patient_id`,
      action: sql`'mapping.delete'`,
    },
    'ended_trail',
  ),
]

/** What an update does to a doctor: changes one that is there, deletes it, or brings a deleted one back. */
type DoctorUpdate = 'change' | 'delete' | 'restore'

const updateDoctorStatement = preparedStatement(
  (db: DatabaseOrTransaction, { scope, update }: { scope: RowScope; update: DoctorUpdate }) => {
    const isInState = update === 'restore' ? isNotNull(doctors.deletedAt) : notDeleted(doctors)
    const isChangeable = and(isInState, narrowToScope(scope), ifMatchSql(doctorEtag))
    const before = db
      .$with('before', {})
      .as(sql`select * from ${doctors} where ${and(eq(doctors.id, placeholder('id')), isChangeable)} for no key update`)
    const updated = db.$with('doctors', {}).as(updateSql(doctors))
    const auditEntry = auditEntryCte(db, { ...doctorAuditOptions, change: 'changed', from: sql`before, ${doctors}` })
    const endedMappings = update === 'delete' ? endMappingsCtes(db) : []
    return preparedJsonQuery(db, 'doctor_update', doctorJson, (fields) =>
      db
        .with(before, updated, auditEntry, ...endedMappings)
        .select(fields)
        .from(doctors),
    )
  },
)

/** Why a doctor was not changed: there is none (404), not the caller's to change (403), changed since it was read (412), or not in the right state (409). */
async function findDoctorChangeProblem(
  db: DatabaseOrTransaction,
  context: RequestContext,
  id: string,
  ifMatch: IfMatch,
): Promise<Problem> {
  const { etag, userId } = await getDoctor(db, id)
  if (context.scope !== 'all' && userId !== context.principal.id) return new Problem('forbidden')
  if (isStaleIfMatch(ifMatch, etag)) return new Problem('precondition-failed')
  return new Problem('conflict', { detail: 'The doctor is not in a state in which this can be done.' })
}

/**
 * Sets what `values` has and leaves the rest.
 * @throws {Problem} 404, 403, 412, 409
 */
async function updateDoctor(
  db: DatabaseOrTransaction,
  context: RequestContext,
  { id, ifMatch, update, status = 200 }: { id: string; ifMatch: IfMatch; update: DoctorUpdate; status?: number },
  values: RowValues<typeof doctors>,
) {
  const [row] = await updateDoctorStatement(db, { scope: context.scope, update }).execute({
    ...auditParams(context, status),
    id,
    ifMatch,
    row: toRowJson(doctors, values),
  })
  if (!row) throw await findDoctorChangeProblem(db, context, id, ifMatch)
  return row
}

/** @throws {Problem} 400 over `userId`, 409 where the e-mail, the licence or the account is another doctor's */
export async function createDoctor(
  db: DatabaseOrTransaction,
  context: RequestContext,
  values: z.output<typeof DoctorReplacement>,
) {
  const [inserted] = await insertDoctorStatement(db, {}).execute({
    ...auditParams(context, 201),
    row: toRowJson(doctors, { ...values, userId: values.userId ?? null, id: newId() }),
  })
  if (!inserted) throw new Error('an insert returned no row')
  return inserted
}

/**
 * Sets what `values` has and leaves the rest.
 * @throws {Problem} 400 and 403 over `userId`, 404, 403, 412, 409
 */
export async function changeDoctor(
  db: DatabaseOrTransaction,
  context: RequestContext,
  id: string,
  ifMatch: IfMatch,
  values: z.output<typeof DoctorPatch>,
) {
  if (values.userId !== undefined && !roleMay(context.principal.role, 'doctors:link')) {
    await getDoctor(db, id)
    throw new Problem('forbidden', { detail: 'Only an administrator may set userId.' })
  }
  return updateDoctor(db, context, { id, ifMatch, update: 'change' }, values)
}

/** @throws {Problem} 404, 412 */
export async function deleteDoctor(db: DatabaseOrTransaction, context: RequestContext, id: string, ifMatch: IfMatch) {
  await updateDoctor(db, context, { id, ifMatch, update: 'delete', status: 204 }, { deletedAt: new Date() })
}

/** @throws {Problem} 404, 409 where it is not deleted, or another has its e-mail, licence or account by now, 412 */
export const restoreDoctor = (db: DatabaseOrTransaction, context: RequestContext, id: string, ifMatch: IfMatch) =>
  updateDoctor(db, context, { id, ifMatch, update: 'restore' }, { deletedAt: null }).catch((error: unknown) => {
    if (!violatesConstraint(error, 'doctors_account_fkey')) throw error
    throw new Problem('conflict', { detail: 'The account that the doctor was linked to has another role by now.' })
  })
