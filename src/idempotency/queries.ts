import { and, eq, gt, sql } from 'drizzle-orm'
import type { Db } from '../db/client.ts'
import { prepared } from '../db/prepared.ts'
import { Problem } from '../http/problem.ts'
import { keptAnswers } from './schema.ts'

const { placeholder } = sql

/** What a key is unique for: the same one from someone else, or on another path, is another. */
export type Claim = { userId: string; method: string; path: string; key: string }

const aDayAgo = sql`now() - interval '24 hours'`

const locking = prepared((db: Db) =>
  db
    .select({ mine: sql<boolean>`mine` })
    .from(sql`pg_try_advisory_xact_lock(hashtextextended(${placeholder('claim')}, 0)) as mine`)
    .prepare('idempotency_lock'),
)

const finding = prepared((db: Db) =>
  db
    .select({
      requestHash: keptAnswers.requestHash,
      resourceId: keptAnswers.resourceId,
      body: keptAnswers.body,
      etag: keptAnswers.etag,
    })
    .from(keptAnswers)
    .where(
      and(
        eq(keptAnswers.userId, placeholder('userId')),
        eq(keptAnswers.method, placeholder('method')),
        eq(keptAnswers.path, placeholder('path')),
        eq(keptAnswers.key, placeholder('key')),
        gt(keptAnswers.createdAt, aDayAgo),
      ),
    )
    .prepare('idempotency_find'),
)

/** The answer that is kept under a key, if any. */
export async function findAnswer(db: Db, claim: Claim) {
  const [kept] = await finding(db, {}).execute(claim)
  return kept
}

/**
 * Holds a key until the end of the transaction, however that ends, and gives the answer that is kept under it, if any.
 * @throws {Problem} 409 where another transaction holds it
 */
export async function claimKey(tx: Db, claim: Claim) {
  const { userId, method, path, key } = claim
  // Run one after the other, as all statements of a transaction: what is found is found under the lock.
  const [[lock], kept] = await Promise.all([
    locking(tx, {}).execute({ claim: [userId, method, path, key].join(' ') }),
    findAnswer(tx, claim),
  ])
  if (!lock?.mine) throw new Problem('idempotency-in-progress', { headers: { 'Retry-After': '1' } })
  return kept
}

const keeping = prepared((db: Db) =>
  db
    .insert(keptAnswers)
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
      target: [keptAnswers.userId, keptAnswers.method, keptAnswers.path, keptAnswers.key],
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
const batch = 20

const sweeping = prepared((db: Db) =>
  db
    .delete(keptAnswers)
    .where(
      sql`ctid = any(array(select ctid from ${keptAnswers} where ${keptAnswers.createdAt} <= ${aDayAgo}
        order by ${keptAnswers.createdAt} limit ${sql.raw(`${batch}`)} for update skip locked))`,
    )
    .prepare('idempotency_sweep'),
)

/** Keeps the answer to the request that holds the key, in place of one that is too old, and forgets some of those. */
export async function keepAnswer(
  tx: Db,
  answer: Claim & Pick<typeof keptAnswers.$inferInsert, 'requestHash' | 'resourceId' | 'body' | 'etag'>,
): Promise<void> {
  // In this order: the sweep waits for nobody, and so no two ever wait for each other.
  await Promise.all([keeping(tx, {}).execute(answer), sweeping(tx, {}).execute()])
}
