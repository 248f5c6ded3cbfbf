import { and, count, eq, gte, lt, or, sql } from 'drizzle-orm'
import type { z } from 'zod'
import type { Db } from '../db/client.ts'
import { pages, preparedPage } from '../db/pages.ts'
import { type AuditQuery, audit, shownEntry } from './schema.ts'

const { placeholder } = sql

type Filters = { patientId: boolean; userId: boolean; action: boolean; from: boolean; to: boolean }

const auditPages = pages({
  orders: { createdAt: { key: audit.at, type: 'timestamptz', id: audit.id } },
  where: (filters: Filters) =>
    and(
      filters.patientId
        ? or(
            eq(audit.patientId, placeholder('patientId')),
            sql`${audit.patientIds} @> array[${placeholder('patientId')}::uuid]`,
          )
        : undefined,
      filters.userId ? eq(audit.userId, placeholder('userId')) : undefined,
      filters.action ? eq(audit.action, placeholder('action')) : undefined,
      filters.from ? gte(audit.at, sql`${placeholder('from')}::timestamptz`) : undefined,
      filters.to ? lt(audit.at, sql`${placeholder('to')}::timestamptz`) : undefined,
    ),
  page: (db, parts) =>
    preparedPage(db, 'audit', parts, { shown: shownEntry, kept: { id: audit.id } }, (fields) =>
      db.select(fields).from(audit),
    ),
  count: (db, where) => db.select({ count: count() }).from(audit).where(where).prepare('audit_count'),
})

type Query = Pick<z.output<typeof AuditQuery>, 'patientId' | 'userId' | 'action' | 'from' | 'to'>

/** The entries that `query` asks for; those of a patient are the ones about them alone and the lists that showed them. */
export function listEntries(db: Db, { patientId, userId, action, from, to }: Query) {
  const filters = {
    patientId: patientId !== undefined,
    userId: userId !== undefined,
    action: action !== undefined,
    from: from !== undefined,
    to: to !== undefined,
  }
  return auditPages(db, filters, { patientId, userId, action, from, to })
}
