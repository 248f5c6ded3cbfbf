import { createHash } from 'node:crypto'
import { type SQL, sql } from 'drizzle-orm'
import type { Config } from '../config.ts'
import type { Db } from '../db/client.ts'
import { prepared } from '../db/prepared.ts'
import { networkOf } from '../http/network.ts'
import { Problem } from '../http/problem.ts'
import { throttle } from './schema.ts'

const { placeholder } = sql

/** One thing that is counted, and how many of it may happen in how many minutes. Success empties an account's bucket. */
export type Bucket = { key: string; limit: number; minutes: number; ofAccount: boolean }

/** Names of people and addresses are not kept here: only what they hash to. */
const bucket = (limit: number, minutes: number, ...parts: string[]): Bucket => ({
  key: createHash('sha256').update(parts.join('\n')).digest('base64url'),
  limit,
  minutes,
  ofAccount: parts[0] === 'account',
})

/**
 * The failures of signing in as `account` from `address`. From an address where the account has signed in before they
 * are counted apart, so that a stranger's failures elsewhere do not lock its owner out.
 */
export const signInBuckets = (
  config: Config,
  account: string | undefined,
  address: string,
  known = false,
): Bucket[] => {
  const minutes = config.LOGIN_FAILURES_WINDOW_MIN
  const ofAddress = bucket(config.LOGIN_FAILURES_PER_ADDRESS, minutes, 'address', networkOf(address))
  if (account === undefined) return [ofAddress]
  const ofAccount = bucket(
    config.LOGIN_FAILURES_PER_ACCOUNT,
    minutes,
    'account',
    account,
    known ? networkOf(address) : '',
  )
  return [ofAccount, ofAddress]
}

/** The registrations from `address`. */
export const registrationBuckets = (config: Config, address: string): Bucket[] => [
  bucket(config.REGISTRATIONS_PER_ADDRESS, config.REGISTRATIONS_WINDOW_MIN, 'registration', networkOf(address)),
]

const input = sql`json_to_recordset(${placeholder('buckets')}::json) as bucket (key text, minutes int)`

const counting = prepared((db: Db) => {
  const counted = db.$with('throttle', {}).as(sql`insert into ${throttle} as kept (key, count, ends_at)
    select key, 1, now() + make_interval(mins => minutes) from ${input} order by key
    on conflict (key) do update set
      count = case when kept.ends_at > now() then kept.count + 1 else 1 end,
      ends_at = case when kept.ends_at > now() then kept.ends_at else excluded.ends_at end
    returning *`)
  // A few of the windows that ended, so that the table stays small.
  const swept = db.$with('swept', {}).as(sql`delete from ${throttle} where ${throttle.key} in (
    select key from ${throttle} where ends_at < now() and key not in (select key from ${input}) limit 100 for update skip locked)`)
  const wait = sql<number>`ceil(extract(epoch from ${throttle.endsAt} - now()))::int`.as('wait')
  return db
    .with(swept, counted)
    .select({ key: throttle.key, count: throttle.count, wait })
    .from(throttle)
    .prepare('throttle_count')
})

/**
 * Counts one attempt in each bucket before it is made, so that a hundred at once are a hundred.
 * @throws {Problem} 429 with Retry-After, in seconds, where one is full
 */
export async function count(db: Db, buckets: Bucket[]): Promise<void> {
  const rows = await counting(db, {}).execute({ buckets: JSON.stringify(buckets) })
  const waits = rows.flatMap((row) =>
    row.count > (buckets.find(({ key }) => key === row.key)?.limit ?? 0) ? [row.wait] : [],
  )
  if (waits.length > 0)
    throw new Problem('too-many-requests', { headers: { 'Retry-After': String(Math.max(1, ...waits)) } })
}

/**
 * Common table expressions that take back what {@link count} counted for an attempt that turned out well, and all of the
 * account's failures: in the statement of what was attempted, where there are rows in `when`.
 */
export const forgiveness = (db: Db, when?: SQL) => {
  // Locked in the order in which they are counted, so that the two never wait for each other.
  const locked = db.$with('locked', {}).as(sql`select key from ${throttle}
    where key = any(${placeholder('buckets')}::text[]) ${when && sql`and exists (select from ${when})`} order by key for update`)
  const forgiven = db.$with('forgiven', {}).as(sql`update ${throttle}
    set count = case when ${throttle.key} = ${placeholder('account')} then 0 else ${throttle.count} - 1 end
    from locked where locked.key = ${throttle.key} returning ${throttle.key}`)
  return [locked, forgiven]
}

/** The parameters of a statement with {@link forgiveness}. */
export const forgivenIn = (buckets: Bucket[]) => ({
  account: buckets.find(({ ofAccount }) => ofAccount)?.key ?? '',
  buckets: `{${buckets.map(({ key }) => key).join(',')}}`,
})

const forgiving = prepared((db: Db) =>
  db
    .with(...forgiveness(db))
    .select({ key: sql<string>`key` })
    .from(sql`forgiven`)
    .prepare('throttle_forgive'),
)

/** Forgives by itself, where what was attempted is no statement. */
export async function forgive(db: Db, buckets: Bucket[]): Promise<void> {
  await forgiving(db, {}).execute(forgivenIn(buckets))
}
