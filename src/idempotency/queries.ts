import { and, eq, gt, sql } from 'drizzle-orm'
import type { DatabaseOrTransaction } from '../context.ts'
import { preparedStatement } from '../database/query/prepared-statement.ts'
import { Problem } from '../http/problem.ts'
import { idempotencyRecords } from './schema.ts'

const { placeholder } = sql

/** What a key is unique for: the same one from someone else, or on another path, is another. */
export type IdempotencyKey = { userId: string; method: string; path: string; key: string }

const oneDayAgoSql = sql`now() - interval '24 hours'`

const lockKeyStatement = preparedStatement((db: DatabaseOrTransaction) =>
  db
    .select({ isLocked: sql<boolean>`mine` })
    .from(sql`pg_try_advisory_xact_lock(hashtextextended(${placeholder('claim')}, 0)) as mine`)
    .prepare('idempotency_lock'),
)

const savedResponseStatement = preparedStatement((db: DatabaseOrTransaction) =>
  db
    .select({
      requestHash: idempotencyRecords.requestHash,
      resourceId: idempotencyRecords.resourceId,
      body: idempotencyRecords.body,
      etag: idempotencyRecords.etag,
    })
    .from(idempotencyRecords)
    .where(
      and(
        eq(idempotencyRecords.userId, placeholder('userId')),
        eq(idempotencyRecords.method, placeholder('method')),
        eq(idempotencyRecords.path, placeholder('path')),
        eq(idempotencyRecords.key, placeholder('key')),
        gt(idempotencyRecords.createdAt, oneDayAgoSql),
      ),
    )
    .prepare('idempotency_find'),
)

/** The answer that is kept under a key, if any. */
export async function findSavedResponse(db: DatabaseOrTransaction, idempotencyKey: IdempotencyKey) {
  const [saved] = await savedResponseStatement(db, {}).execute(idempotencyKey)
  return saved
}

/**
 * Holds a key until the end of the transaction, however that ends, and gives the answer that is kept under it, if any.
 * @throws {Problem} 409 where another transaction holds it
 */
export async function lockIdempotencyKey(tx: DatabaseOrTransaction, idempotencyKey: IdempotencyKey) {
  const { userId, method, path, key } = idempotencyKey
  // Run one after the other, as all statements of a transaction: what is found is found under the lock.
  const [[lock], saved] = await Promise.all([
    lockKeyStatement(tx, {}).execute({ claim: [userId, method, path, key].join(' ') }),
    findSavedResponse(tx, idempotencyKey),
  ])
  if (!lock?.isLocked) throw new Problem('idempotency-in-progress', { headers: { 'Retry-After': '1' } })
  return saved
}

const saveResponseStatement = preparedStatement((db: DatabaseOrTransaction) =>
  db
    .insert(idempotencyRecords)
    .values({
      userId: placeholder('userId'),
      method: placeholder('method'),
      path: placeholder('path'),
      key: placeholder('key'),
      requestHash: placeholder('requestHash'),
      resourceId: placeholder('resourceId'),
      body: placeholder('body'),
      etag: placeholder('etag'),
    })
    .onConflictDoUpdate({
      target: [idempotencyRecords.userId, idempotencyRecords.method, idempotencyRecords.path, idempotencyRecords.key],
      set: {
        requestHash: sql`excluded.request_hash`,
        resourceId: sql`excluded.resource_id`,
        body: sql`excluded.body`,
        etag: sql`excluded.etag`,
        createdAt: sql`excluded.created_at`,
      },
    })
    .prepare('idempotency_keep'),
)

/** Each create keeps one answer and forgets up to this many old ones. */
const maxSweptRows = 20

const sweepResponsesStatement = preparedStatement((db: DatabaseOrTransaction) =>
  db
    .delete(idempotencyRecords)
    .where(
      sql`ctid = any(array(select ctid from ${idempotencyRecords} where ${idempotencyRecords.createdAt} <= ${oneDayAgoSql}
        order by ${idempotencyRecords.createdAt} limit ${sql.raw(`${maxSweptRows}`)} for update skip locked))`,
    )
    .prepare('idempotency_sweep'),
)

/** Keeps the answer to the request that holds the key, in place of one that is too old, and forgets some of those. */
export async function saveResponse(
  tx: DatabaseOrTransaction,
  response: IdempotencyKey &
    Pick<typeof idempotencyRecords.$inferInsert, 'requestHash' | 'resourceId' | 'body' | 'etag'>,
): Promise<void> {
  // In this order: the sweep waits for nobody, and so no two ever wait for each other.
  await Promise.all([saveResponseStatement(tx, {}).execute(response), sweepResponsesStatement(tx, {}).execute()])
}
