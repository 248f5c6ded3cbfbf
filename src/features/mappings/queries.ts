import { and, count, eq, or, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { z } from 'zod'
import { doctorExists } from '../../access/doctor-access.ts'
import { getPatientAccess } from '../../access/patient-access.ts'
import { canSeePatient, narrowToScope, notDeleted, visiblePatientIdIn } from '../../access/visibility.ts'
import { auditedDelete } from '../../audit/audited-delete.ts'
import { auditEntryCte, auditParams } from '../../audit/entry-cte.ts'
import type { DatabaseOrTransaction, RequestContext } from '../../context.ts'
import type { IdColumn } from '../../database/columns.ts'
import { newId } from '../../database/id.ts'
import { preparedJsonQuery } from '../../database/query/json-rows.ts'
import { defineKeysetList, preparedPageQuery } from '../../database/query/keyset-list.ts'
import { preparedStatement } from '../../database/query/prepared-statement.ts'
import { etagSql, type IfMatch, ifMatchSql } from '../../database/query/write-sql.ts'
import { type FieldError, Problem } from '../../http/problem.ts'
import type { RowScope } from '../../roles.ts'
import { doctorColumns, doctors } from '../doctors/schema.ts'
import { patientColumns, patients } from '../patients/schema.ts'
import { auditedMappingColumns, mappingColumns, mappings, type NewMapping } from './schema.ts'

const { placeholder } = sql
type MappingVariant = { scope: RowScope }

/** The mappings of patients that the caller sees. While either side is deleted, a mapping is not there. */
const mappingIsVisible = ({ scope }: MappingVariant) =>
  and(notDeleted(patients), notDeleted(doctors), canSeePatient(scope))
const mappingEtag = etagSql(patients, doctors)
const patientOfMapping = eq(patients.id, mappings.patientId)
const doctorOfMapping = eq(doctors.id, mappings.doctorId)

/** The filters of every list here: mappings of a patient, of a doctor, or `mappingOrPatientId` the one of this id or those of the patient of this id. */
type MappingListQuery = {
  patientId?: string | undefined
  doctorId?: string | undefined
  mappingOrPatientId?: string | undefined
}
type MappingFilters = MappingVariant & { [Name in keyof MappingListQuery]-?: boolean }

/** Where the mappings are of one patient, it is simpler to ask whether the caller sees that one than whom they see. */
const visibleMappings = ({ scope, patientId, mappingOrPatientId }: MappingFilters) =>
  patientId || mappingOrPatientId ? canSeePatient(scope) : visiblePatientIdIn(scope, mappings.patientId)

const [isOfThatPatient, isThatMapping] = [
  eq(mappings.patientId, placeholder('mappingOrPatientId')),
  eq(mappings.id, placeholder('mappingOrPatientId')),
]
/** Looked up first: where either of two columns may be meant, PostgreSQL likes to go through a small table. */
const patientIdOfEitherSql = sql`coalesce((select ${mappings.patientId} from ${mappings} where ${isThatMapping}), ${placeholder('mappingOrPatientId')})`

const mappingConditions = (filters: MappingFilters) =>
  and(
    notDeleted(patients),
    notDeleted(doctors),
    filters.patientId ? eq(mappings.patientId, placeholder('patientId')) : undefined,
    filters.doctorId ? eq(mappings.doctorId, placeholder('doctorId')) : undefined,
    filters.mappingOrPatientId
      ? and(eq(mappings.patientId, patientIdOfEitherSql), or(isOfThatPatient, isThatMapping))
      : undefined,
  )

/** Mappings, newest first, each shown as `columns`: the mapping itself, or the one of its sides whose id is `id`. */
function createMappingList<Columns extends Record<string, PgColumn | Record<string, PgColumn>>>(
  columns: Columns,
  id: IdColumn,
) {
  const list = defineKeysetList({
    orders: { createdAt: { key: mappings.createdAt, type: 'timestamptz', id } },
    visibleRows: visibleMappings,
    where: mappingConditions,
    preparePage: (db, parts) =>
      preparedPageQuery(
        db,
        'mappings',
        parts,
        { jsonColumns: columns, serverColumns: { id, patientId: mappings.patientId, etag: mappingEtag } },
        (fields) =>
          db.select(fields).from(mappings).innerJoin(patients, patientOfMapping).innerJoin(doctors, doctorOfMapping),
      ),
    prepareCount: (db, where) =>
      db
        .select({ count: count() })
        .from(mappings)
        .innerJoin(patients, patientOfMapping)
        .innerJoin(doctors, doctorOfMapping)
        .where(where)
        .prepare('mappings_count'),
  })
  return (
    db: DatabaseOrTransaction,
    { principal, scope }: RequestContext,
    { patientId, doctorId, mappingOrPatientId }: MappingListQuery,
  ) => {
    const filters = {
      patientId: patientId !== undefined,
      doctorId: doctorId !== undefined,
      mappingOrPatientId: mappingOrPatientId !== undefined,
    }
    return list(db, { scope, ...filters }, { currentUserId: principal.id, patientId, doctorId, mappingOrPatientId })
  }
}

/** The mappings that the caller sees. */
export const listMappings = createMappingList(mappingColumns, mappings.id)
/** The doctors of the mappings that the caller sees. */
export const listMappedDoctors = createMappingList(doctorColumns, doctors.id)
/** The patients of the mappings that the caller sees. */
export const listMappedPatients = createMappingList(patientColumns, patients.id)

const mappingAccessStatement = preparedStatement((db: DatabaseOrTransaction, { scope }: MappingVariant) =>
  db
    .select({ inScope: sql<boolean>`${narrowToScope(scope) ?? sql`true`}` })
    .from(mappings)
    .innerJoin(patients, patientOfMapping)
    .innerJoin(doctors, doctorOfMapping)
    .where(and(eq(mappings.id, placeholder('id')), mappingIsVisible({ scope })))
    .prepare('mapping'),
)

/** Whether what the caller asks for reaches the mapping. @throws {Problem} 404 where they do not see it */
export async function getMappingAccess(
  db: DatabaseOrTransaction,
  context: RequestContext,
  id: string,
): Promise<boolean> {
  const [row] = await mappingAccessStatement(db, { scope: context.scope }).execute({
    currentUserId: context.principal.id,
    id,
  })
  if (!row) throw new Problem('not-found')
  return row.inScope
}

/** A mapping in the audit log. */
export const mappingAuditOptions = {
  resource: 'mapping',
  auditedColumns: auditedMappingColumns,
  resourceId: mappings.id,
  patientId: mappings.patientId,
}

const insertMappingStatement = preparedStatement((db: DatabaseOrTransaction, { scope }: MappingVariant) => {
  const made = db.$with('mappings', {}).as(sql`insert into ${mappings} (id, patient_id, doctor_id, created_by)
    select ${placeholder('id')}::uuid, ${patients.id}, ${doctors.id}, ${placeholder('currentUserId')}::uuid from ${patients}, ${doctors}
    where ${and(eq(patients.id, placeholder('patientId')), eq(doctors.id, placeholder('doctorId')), mappingIsVisible({ scope }), narrowToScope(scope))}
    returning *`)
  const auditEntry = auditEntryCte(db, { ...mappingAuditOptions, change: 'created', from: sql`${mappings}` })
  return preparedJsonQuery(
    db,
    'mapping_insert',
    { jsonColumns: mappingColumns, serverColumns: { id: mappings.id, etag: mappingEtag } },
    (fields) =>
      db
        .with(made, auditEntry)
        .select(fields)
        .from(mappings)
        .innerJoin(patients, patientOfMapping)
        .innerJoin(doctors, doctorOfMapping),
  )
})

/** @throws {Problem} 400 on an unknown patient or doctor, 403 where the patient is not the caller's to map, 409 where they are mapped */
export async function createMapping(
  db: DatabaseOrTransaction,
  context: RequestContext,
  values: z.output<typeof NewMapping>,
) {
  const { scope } = context
  const [mapping] = await insertMappingStatement(db, { scope }).execute({
    ...auditParams(context, 201),
    ...values,
    id: newId(),
  })
  if (mapping) return mapping
  const [patientAccess, isKnownDoctor] = await Promise.all([
    getPatientAccess(db, context, values.patientId),
    doctorExists(db, values.doctorId),
  ])
  const errors: FieldError[] = []
  if (patientAccess === 'notFound') errors.push({ path: 'patientId', message: 'is not a patient', code: 'unknown' })
  if (!isKnownDoctor) errors.push({ path: 'doctorId', message: 'is not a doctor', code: 'unknown' })
  if (errors.length > 0) throw new Problem('bad-request', { errors })
  throw new Problem('forbidden', { detail: 'Only whoever added the patient may do this.' })
}

const deleteMappingStatement = preparedStatement((db: DatabaseOrTransaction, { scope }: MappingVariant) => {
  const isDeletable = and(mappingIsVisible({ scope }), narrowToScope(scope), ifMatchSql(mappingEtag))
  return auditedDelete(db, mappings, {
    resource: 'mapping',
    auditedColumns: auditedMappingColumns,
    before: sql`select ${mappings}.* from ${mappings} join ${patients} on ${patientOfMapping} join ${doctors} on ${doctorOfMapping}
      where ${and(eq(mappings.id, placeholder('id')), isDeletable)} for update of ${mappings}`,
  })
})

/** Takes the doctor's access to the patient away. @throws {Problem} 404, 403, 412 */
export async function deleteMapping(
  db: DatabaseOrTransaction,
  context: RequestContext,
  id: string,
  ifMatch: IfMatch,
): Promise<void> {
  const parameters = { ...auditParams(context, 204), id, ifMatch }
  const deleted = await deleteMappingStatement(db, { scope: context.scope }).execute(parameters)
  if (deleted.length > 0) return
  const isInScope = await getMappingAccess(db, context, id)
  throw new Problem(isInScope ? 'precondition-failed' : 'forbidden')
}
