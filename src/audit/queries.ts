import { and, count, eq, gte, lt, or, type SQL, sql } from 'drizzle-orm'
import { alias, QueryBuilder } from 'drizzle-orm/pg-core'
import type { z } from 'zod'
import type { DatabaseOrTransaction } from '../context.ts'
import { getUuidTime } from '../database/id.ts'
import { defineKeysetList, preparedPageQuery } from '../database/query/keyset-list.ts'
import { type AuditQuery, auditEntryColumns, auditLog } from './schema.ts'

const { placeholder } = sql

const isAboutPatient = or(
  eq(auditLog.patientId, placeholder('patientId')),
  sql`${auditLog.patientIds} @> array[${placeholder('patientId')}::uuid]`,
)

type AuditFilters = {
  [Name in 'patientId' | 'userId' | 'action' | 'requestId' | 'requestedAt' | 'from' | 'to']: boolean
}

const auditOrders = { createdAt: { key: auditLog.at, type: 'timestamptz', id: auditLog.id } } as const
const countEntriesStatement = (db: DatabaseOrTransaction, where: SQL | undefined) =>
  db.select({ count: count() }).from(auditLog).where(where).prepare('audit_count')

const auditEntryList = defineKeysetList({
  orders: auditOrders,
  where: (filters: AuditFilters) =>
    and(
      filters.patientId ? isAboutPatient : undefined,
      filters.userId ? eq(auditLog.userId, placeholder('userId')) : undefined,
      filters.action ? eq(auditLog.action, placeholder('action')) : undefined,
      filters.requestId ? eq(auditLog.requestId, placeholder('requestId')) : undefined,
      filters.requestedAt
        ? sql`${auditLog.at} between ${placeholder('requestedAt')}::timestamptz - interval '1 hour'
            and ${placeholder('requestedAt')}::timestamptz + interval '1 hour'`
        : undefined,
      filters.from ? gte(auditLog.at, sql`${placeholder('from')}::timestamptz`) : undefined,
      filters.to ? lt(auditLog.at, sql`${placeholder('to')}::timestamptz`) : undefined,
    ),
  preparePage: (db, parts) =>
    preparedPageQuery(
      db,
      'audit',
      parts,
      { jsonColumns: auditEntryColumns, serverColumns: { id: auditLog.id } },
      (fields) => db.select(fields).from(auditLog),
    ),
  prepareCount: countEntriesStatement,
})

/**
 * What is said to a patient of what showed or named them: whom else it was about is not theirs to know, nor whether the
 * record that it named is there, and whose. Who names a patient in the query can name the record of another in the path.
 */
const onePatientAlias = alias(auditLog, 'named')
const onlyThePatientSql = sql`case when audit.patient_ids is not null then array[${placeholder('patientId')}::uuid] end`
const ifOfThePatientSql = (column: string) =>
  sql`case when audit.patient_id = ${placeholder('patientId')}::uuid then audit.${sql.identifier(column)} end`
const onePatientSubquery = new QueryBuilder()
  .select({
    resourceId: ifOfThePatientSql('resource_id').as('resource_id'),
    patientId: ifOfThePatientSql('patient_id').as('patient_id'),
    patientIds: onlyThePatientSql.as('patient_ids'),
  })
  .from(sql`(values (1)) as one`)
  .as('named')

const patientAuditList = defineKeysetList({
  orders: auditOrders,
  where: () => isAboutPatient,
  preparePage: (db, parts) =>
    preparedPageQuery(
      db,
      'audit_of_patient',
      parts,
      {
        jsonColumns: {
          ...auditEntryColumns,
          resourceId: onePatientAlias.resourceId,
          patientId: onePatientAlias.patientId,
          patientIds: onePatientAlias.patientIds,
        },
        serverColumns: { id: auditLog.id },
      },
      (fields) => db.select(fields).from(auditLog).crossJoinLateral(onePatientSubquery),
    ),
  prepareCount: countEntriesStatement,
})

type AuditListQuery = Pick<z.output<typeof AuditQuery>, 'patientId' | 'userId' | 'action' | 'requestId' | 'from' | 'to'>

/** The entries about the patient, and the lists that showed them, which name nobody else. */
export const listAuditEntriesOfPatient = (db: DatabaseOrTransaction, patientId: string) =>
  patientAuditList(db, {}, { patientId })

/** The entries that `query` asks for; those of a patient are the ones about them alone and the lists that showed them. */
export function listAuditEntries(
  db: DatabaseOrTransaction,
  { patientId, userId, action, requestId, from, to }: AuditListQuery,
) {
  // No index is kept of the ids of requests: those made here tell the time, by which their entries are found.
  const requestedAt = requestId === undefined ? undefined : getUuidTime(requestId)
  const filters = {
    patientId: patientId !== undefined,
    userId: userId !== undefined,
    action: action !== undefined,
    requestId: requestId !== undefined,
    requestedAt: requestedAt !== undefined,
    from: from !== undefined,
    to: to !== undefined,
  }
  return auditEntryList(db, filters, { patientId, userId, action, requestId, requestedAt, from, to })
}
