import { createHash } from 'node:crypto'
import { type SQL, sql } from 'drizzle-orm'
import type { Config } from '../config.ts'
import type { Db } from '../db/client.ts'
import { prepared } from '../db/prepared.ts'
import { networkOf } from '../http/network.ts'
import { Problem } from '../http/problem.ts'
import { throttle } from './schema.ts'

const { placeholder } = sql

/** One thing that is counted, and how many of it may happen in how many minutes. */
export type Bucket = { key: string; limit: number; minutes: number }

/** Names of people and addresses are not kept here: only what they hash to. */
const bucket = (limit: number, minutes: number, ...parts: string[]): Bucket => ({
  key: createHash('sha256').update(parts.join('\n')).digest('base64url'),
  limit,
  minutes,
})

/** The failures from an address, whatever they tried. */
const failuresOfAddress = (config: Config, address: string) =>
  bucket(config.LOGIN_FAILURES_PER_ADDRESS, config.LOGIN_FAILURES_WINDOW_MIN, 'address', networkOf(address))

/** Where failures are counted that are of no account: a token that is none. */
export const tokenBuckets = (config: Config, address: string): Bucket[] => [failuresOfAddress(config, address)]

/**
 * The failures of signing in as `account` from `address`: those of the address first, then those of the account. From a
 * network where the account has signed in before they are counted apart, so that a stranger's failures elsewhere do not
 * lock its owner out.
 */
export const signInBuckets = (config: Config, account: string, address: string, known: boolean): [Bucket, Bucket] => [
  failuresOfAddress(config, address),
  bucket(
    config.LOGIN_FAILURES_PER_ACCOUNT,
    config.LOGIN_FAILURES_WINDOW_MIN,
    'account',
    account,
    known ? networkOf(address) : '',
  ),
]

/** The registrations, and changes of an e-mail address, from `address`. */
export const registrationBuckets = (config: Config, address: string): Bucket[] => [
  bucket(config.REGISTRATIONS_PER_ADDRESS, config.REGISTRATIONS_WINDOW_MIN, 'registration', networkOf(address)),
]

/** The parameter of {@link secondsUntilOpen} and {@link isOpen}. */
export const bucketsJson = (buckets: readonly Bucket[]): string => JSON.stringify(buckets)

const full = sql`from json_to_recordset(${placeholder('buckets')}::json) as bucket (key text, "limit" int, known boolean)
  join ${throttle} on ${throttle.key} = bucket.key and ${throttle.endsAt} > now() and ${throttle.count} >= bucket.limit`

/** In how many seconds the fullest of the parameter `buckets` opens again; null where none is full. `of` may leave some out. */
export const secondsUntilOpen = (of: SQL = sql`true`): SQL<number | null> =>
  sql<number | null>`(select ceil(extract(epoch from max(${throttle.endsAt}) - now()))::int ${full} where ${of})`

/** None of the parameter `buckets` is full. */
export const isOpen: SQL = sql`not exists (select ${full})`

const tooMany = (seconds: number): Problem => {
  const minutes = Math.ceil(seconds / 60)
  return new Problem('too-many-requests', {
    detail: `There were too many attempts. Try again in ${minutes} ${minutes === 1 ? 'minute' : 'minutes'}.`,
    headers: { 'Retry-After': String(Math.max(1, seconds)) },
  })
}

/** @throws {Problem} 429 with Retry-After, where `seconds` says in how many it may be tried again */
export function refuseUntilOpen(seconds: number | null | undefined): void {
  if (seconds !== null && seconds !== undefined) throw tooMany(seconds)
}

const looking = prepared((db: Db) =>
  db.select({ seconds: secondsUntilOpen() }).from(sql`(values (1)) as one`).prepare('throttle_look'),
)

/** @throws {Problem} 429 where one of the buckets is full; nothing is counted */
export async function assertOpen(db: Db, buckets: readonly Bucket[]): Promise<void> {
  const [row] = await looking(db, {}).execute({ buckets: bucketsJson(buckets) })
  refuseUntilOpen(row?.seconds)
}

/** Counts in a bucket, unless it is full: then it is left one over its limit, and that is how the caller knows. */
const countingIn = (name: string, from: SQL) => sql`insert into ${throttle} as kept (key, count, ends_at)
  select ${placeholder(`${name}Key`)}, 1, now() + make_interval(mins => ${placeholder(`${name}Minutes`)}::int) ${from}
  on conflict (key) do update set
    count = case when kept.ends_at > now() then least(kept.count, ${placeholder(`${name}Limit`)}::int) + 1 else 1 end,
    ends_at = case when kept.ends_at > now() then kept.ends_at else excluded.ends_at end
  returning kept.key, kept.count, ceil(extract(epoch from kept.ends_at - now()))::int as seconds`

const counting = prepared((db: Db, { two }: { two: boolean }) => {
  const first = db.$with('first', {}).as(countingIn('first', sql``))
  // Nothing is counted in the second where the first is full.
  const ifOpen = sql`from first where first.count <= ${placeholder('firstLimit')}::int`
  const second = db.$with('second', {}).as(countingIn('second', ifOpen))
  // A few of the windows that ended, so that the table stays small.
  const swept = db.$with('swept', {}).as(sql`delete from ${throttle} where ${throttle.key} in (
    select key from ${throttle} where ends_at < now() and key <> ${placeholder('firstKey')}
      and key is distinct from ${placeholder('secondKey')} limit 100 for update skip locked)`)
  const counted = two ? sql`(select * from first union all select * from second)` : sql`first`
  return db
    .with(swept, first, ...(two ? [second] : []))
    .select({ key: sql<string>`key`, count: sql<number>`count`, seconds: sql<number>`seconds` })
    .from(sql`${counted} as counted`)
    .prepare('throttle_count')
})

const giveBack = (db: Db, key: string) =>
  db.execute(sql`update ${throttle} set count = count - 1 where key = ${key} and count > 0`)

/**
 * Counts one failure, or one attempt, in each bucket, atomically: of a thousand at once, as many pass as the limit allows.
 * What one bucket refuses is counted in none.
 * @throws {Problem} 429 with Retry-After, in seconds, where one is full
 */
export async function countAttempt(db: Db, buckets: readonly Bucket[]): Promise<void> {
  const [first, second] = buckets
  if (!first) return
  const rows = await counting(db, { two: second !== undefined }).execute({
    firstKey: first.key,
    firstLimit: first.limit,
    firstMinutes: first.minutes,
    secondKey: second?.key ?? null,
    secondLimit: second?.limit ?? null,
    secondMinutes: second?.minutes ?? null,
  })
  const refused = rows.find(({ key, count }) => count > (buckets.find((of) => of.key === key)?.limit ?? 0))
  if (!refused) return
  if (refused.key === second?.key) await giveBack(db, first.key)
  throw tooMany(refused.seconds)
}

/** A common table expression that empties the bucket of the parameter `accountKey`, where there are rows in `when`. */
export const emptyingAccount = (db: Db, when: SQL) =>
  db.$with('emptied', {}).as(sql`update ${throttle} set count = 0
    where key = ${placeholder('accountKey')} and count > 0 and exists (select from ${when}) returning key`)

/** Forgets the failures of a bucket. */
export const emptyBucket = (db: Db, { key }: Bucket) =>
  db.execute(sql`update ${throttle} set count = 0 where key = ${key} and count > 0`)
