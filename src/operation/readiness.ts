import { sql } from 'drizzle-orm'
import journal from '../../drizzle/meta/_journal.json' with { type: 'json' }
import type { Db } from '../db/client.ts'
import { Problem } from '../http/problem.ts'

/** The newest migration that this code was written for, as drizzle-kit and the database both know it. */
const newest = Math.max(0, ...journal.entries.map((entry) => entry.when))

const migrated = (db: Db) =>
  db.execute<{ done: boolean }>(sql`select max(created_at) >= ${newest} as done from drizzle.__drizzle_migrations`)

/** @throws {Problem} 503 where the database is away, or not migrated */
export async function assertReady(db: Db): Promise<void> {
  const [row] = await migrated(db).catch((cause: unknown) => {
    throw new Problem('unavailable', { cause, headers: { 'Retry-After': '1' } })
  })
  if (!row?.done)
    throw new Problem('unavailable', { detail: 'The database is not migrated.', headers: { 'Retry-After': '5' } })
}

/** How long an answer holds, in ms. */
const holdsMs = 5000
/** How long the database may take to answer, in ms: a scrape of several processes waits a second for each. */
const answerTimeoutMs = 500

/** Tells whether {@link assertReady} holds, and asks the database no more than every 5 seconds, however often it is called. */
export function readinessOf(db: Db): () => Promise<boolean> {
  let asked: Promise<boolean> | undefined
  let askedAt = 0
  return () => {
    if (asked && performance.now() - askedAt < holdsMs) return asked
    askedAt = performance.now()
    const { promise, resolve } = Promise.withResolvers<boolean>()
    const late = setTimeout(() => resolve(false), answerTimeoutMs)
    assertReady(db)
      .then(
        () => resolve(true),
        () => resolve(false),
      )
      .finally(() => clearTimeout(late))
    asked = promise
    return promise
  }
}
