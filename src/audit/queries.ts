import { and, count, eq, gte, lt, or, type SQL, sql } from 'drizzle-orm'
import { alias, QueryBuilder } from 'drizzle-orm/pg-core'
import type { z } from 'zod'
import type { Db } from '../db/client.ts'
import { pages, preparedPage } from '../db/pages.ts'
import { timeOf } from '../id.ts'
import { type AuditQuery, audit, shownEntry } from './schema.ts'

const { placeholder } = sql

const ofPatient = or(
  eq(audit.patientId, placeholder('patientId')),
  sql`${audit.patientIds} @> array[${placeholder('patientId')}::uuid]`,
)

type Filters = { [Name in 'patientId' | 'userId' | 'action' | 'requestId' | 'requestedAt' | 'from' | 'to']: boolean }

const orders = { createdAt: { key: audit.at, type: 'timestamptz', id: audit.id } } as const
const countOf = (db: Db, where: SQL | undefined) =>
  db.select({ count: count() }).from(audit).where(where).prepare('audit_count')

const auditPages = pages({
  orders,
  where: (filters: Filters) =>
    and(
      filters.patientId ? ofPatient : undefined,
      filters.userId ? eq(audit.userId, placeholder('userId')) : undefined,
      filters.action ? eq(audit.action, placeholder('action')) : undefined,
      filters.requestId ? eq(audit.requestId, placeholder('requestId')) : undefined,
      filters.requestedAt
        ? sql`${audit.at} between ${placeholder('requestedAt')}::timestamptz - interval '1 hour'
            and ${placeholder('requestedAt')}::timestamptz + interval '1 hour'`
        : undefined,
      filters.from ? gte(audit.at, sql`${placeholder('from')}::timestamptz`) : undefined,
      filters.to ? lt(audit.at, sql`${placeholder('to')}::timestamptz`) : undefined,
    ),
  page: (db, parts) =>
    preparedPage(db, 'audit', parts, { shown: shownEntry, kept: { id: audit.id } }, (fields) =>
      db.select(fields).from(audit),
    ),
  count: countOf,
})

/** What is said to a patient of the list that showed them: whom else it showed is not theirs to know. */
const named = alias(audit, 'named')
const onlyThePatient = sql`case when audit.patient_ids is not null then array[${placeholder('patientId')}::uuid] end`
const namingOnePatient = new QueryBuilder()
  .select({ patientIds: onlyThePatient.as('patient_ids') })
  .from(sql`(values (1)) as one`)
  .as('named')

const patientPages = pages({
  orders,
  where: () => ofPatient,
  page: (db, parts) =>
    preparedPage(
      db,
      'audit_of_patient',
      parts,
      { shown: { ...shownEntry, patientIds: named.patientIds }, kept: { id: audit.id } },
      (fields) => db.select(fields).from(audit).crossJoinLateral(namingOnePatient),
    ),
  count: countOf,
})

type Query = Pick<z.output<typeof AuditQuery>, 'patientId' | 'userId' | 'action' | 'requestId' | 'from' | 'to'>

/** The entries about the patient, and the lists that showed them, which name nobody else. */
export const listEntriesOfPatient = (db: Db, patientId: string) => patientPages(db, {}, { patientId })

/** The entries that `query` asks for; those of a patient are the ones about them alone and the lists that showed them. */
export function listEntries(db: Db, { patientId, userId, action, requestId, from, to }: Query) {
  // No index is kept of the ids of requests: those made here tell the time, by which their entries are found.
  const requestedAt = requestId === undefined ? undefined : timeOf(requestId)
  const filters = {
    patientId: patientId !== undefined,
    userId: userId !== undefined,
    action: action !== undefined,
    requestId: requestId !== undefined,
    requestedAt: requestedAt !== undefined,
    from: from !== undefined,
    to: to !== undefined,
  }
  return auditPages(db, filters, { patientId, userId, action, requestId, requestedAt, from, to })
}
