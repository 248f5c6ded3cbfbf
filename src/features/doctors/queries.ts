import { and, count, eq, isNotNull, sql } from 'drizzle-orm'
import type { z } from 'zod'
import { roleMay } from '../../access/permissions.ts'
import { inScope, notDeleted } from '../../access/visibility.ts'
import { auditedTable } from '../../audit/audited-table.ts'
import { auditDiffSql } from '../../audit/entry-cte.ts'
import { auditLog } from '../../audit/schema.ts'
import type { DatabaseOrTransaction, RequestContext } from '../../context.ts'
import { violatesConstraint } from '../../database/errors.ts'
import { newId } from '../../database/id.ts'
import { preparedJsonQuery } from '../../database/query/json-rows.ts'
import { defineKeysetList, preparedPageQuery } from '../../database/query/keyset-list.ts'
import { preparedStatement } from '../../database/query/prepared-statement.ts'
import { foldedText, matchesSearch } from '../../database/query/search.ts'
import { etagSql } from '../../database/query/write-sql.ts'
import { isStaleIfMatch } from '../../http/etag.ts'
import { Problem } from '../../http/problem.ts'
import type { RowScope } from '../../roles.ts'
import { mappings } from '../mappings/schema.ts'
import { type DoctorPatch, type DoctorQuery, type DoctorReplacement, doctorColumns, doctors } from './schema.ts'

const { placeholder } = sql

const doctorStatement = preparedStatement((db: DatabaseOrTransaction) =>
  preparedJsonQuery(
    db,
    'doctor',
    { jsonColumns: doctorColumns, serverColumns: { id: doctors.id, userId: doctors.userId, etag: etagSql(doctors) } },
    (fields) =>
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

type DoctorVariant = { scope: RowScope; deleted?: boolean; deletes?: boolean }

const auditedMappingEndColumns = { patientId: mappings.patientId, doctorId: mappings.doctorId }
/** A deleted doctor's mappings end, each with its own row in the patient's trail: access that ended does not come back. */
const endMappingsCtes = (db: DatabaseOrTransaction) => [
  db
    .$with('ended', {})
    .as(sql`delete from ${mappings} using before where ${mappings.doctorId} = before.id returning ${mappings}.*`),
  db.$with('ended_trail', {}).as(sql`insert into ${auditLog}
    (id, user_id, role, action, resource, resource_id, patient_id, status, ip, user_agent, request_id, changes)
    select gen_random_uuid(), ${placeholder('currentUserId')}::uuid, ${placeholder('role')}, 'mapping.delete', 'mapping', id, patient_id, 204,
      ${placeholder('ip')}, ${placeholder('userAgent')}, ${placeholder('requestId')},
      ${auditDiffSql.deleted(auditedMappingEndColumns)} from ended as before`),
]
const auditedDoctors = auditedTable(doctors, doctorColumns, {
  resource: 'doctor',
  changeableRows: ({ scope, deleted }: DoctorVariant) =>
    and(deleted ? isNotNull(doctors.deletedAt) : notDeleted(doctors), inScope(scope)),
  extraCtes: (db, { deletes }) => (deletes ? endMappingsCtes(db) : []),
})

/** Why a doctor was not changed: there is none (404), not the caller's to change (403), changed since it was read (412), or not in the right state (409). */
async function findDoctorChangeProblem(
  db: DatabaseOrTransaction,
  context: RequestContext,
  id: string,
): Promise<Problem> {
  const { etag, userId } = await getDoctor(db, id)
  if (context.scope !== 'all' && userId !== context.userId) return new Problem('forbidden')
  if (isStaleIfMatch(context.ifMatch, etag)) return new Problem('precondition-failed')
  return new Problem('conflict', { detail: 'The doctor is not in a state in which this can be done.' })
}

/** @throws {Problem} 400 over `userId`, 409 where the e-mail, the licence or the account is another doctor's */
export const createDoctor = (
  db: DatabaseOrTransaction,
  context: RequestContext,
  values: z.output<typeof DoctorReplacement>,
) => auditedDoctors.insert(db, context, { ...values, userId: values.userId ?? null, id: newId() })

/**
 * Sets what `values` has and leaves the rest.
 * @throws {Problem} 400 and 403 over `userId`, 404, 403, 409
 */
export async function changeDoctor(
  db: DatabaseOrTransaction,
  context: RequestContext,
  id: string,
  values: z.output<typeof DoctorPatch>,
) {
  if (values.userId !== undefined && !roleMay(context.role, 'doctors:link')) {
    await getDoctor(db, id)
    throw new Problem('forbidden', { detail: 'Only an administrator may set userId.' })
  }
  const row = await auditedDoctors.update(db, context, { scope: context.scope }, id, values)
  if (!row) throw await findDoctorChangeProblem(db, context, id)
  return row
}

/** @throws {Problem} 404 */
export async function deleteDoctor(db: DatabaseOrTransaction, context: RequestContext, id: string): Promise<void> {
  const row = await auditedDoctors.update(
    db,
    context,
    { scope: context.scope, deletes: true },
    id,
    { deletedAt: new Date() },
    204,
  )
  if (!row) throw await findDoctorChangeProblem(db, context, id)
}

/** @throws {Problem} 404, 409 where it is not deleted, or another has its e-mail, licence or account by now */
export async function restoreDoctor(db: DatabaseOrTransaction, context: RequestContext, id: string) {
  const row = await auditedDoctors
    .update(db, context, { scope: context.scope, deleted: true }, id, { deletedAt: null })
    .catch((error: unknown) => {
      if (!violatesConstraint(error, 'doctors_account_fkey')) throw error
      throw new Problem('conflict', { detail: 'The account that the doctor was linked to has another role by now.' })
    })
  if (!row) throw await findDoctorChangeProblem(db, context, id)
  return row
}
