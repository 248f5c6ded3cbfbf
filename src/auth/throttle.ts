import { createHash } from 'node:crypto'
import { type SQL, sql } from 'drizzle-orm'
import type { Config } from '../config.ts'
import type { Db, Pool } from '../db/client.ts'
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
 * From where an account's password is tried: a network where the account has signed in before, any other, or any other
 * with an access token of the account.
 */
export type Whence = 'known' | 'elsewhere' | 'signedInElsewhere'

const placeOf: Record<Whence, (address: string) => string> = {
  known: networkOf,
  elsewhere: () => '',
  signedInElsewhere: () => 'signed in',
}

/**
 * The failures of proving to be `account`: those of the address first, then those of the account. From a network where
 * the account has signed in before, and of whoever is signed in, they are counted apart, so that a stranger's failures do
 * not lock its owner out.
 */
export const signInBuckets = (config: Config, account: string, address: string, from: Whence): [Bucket, Bucket] => [
  failuresOfAddress(config, address),
  bucket(
    config.LOGIN_FAILURES_PER_ACCOUNT,
    config.LOGIN_FAILURES_WINDOW_MIN,
    'account',
    account,
    placeOf[from](address),
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

const counting = prepared((db: Db) => {
  const input = sql`json_to_recordset(${placeholder('buckets')}::json) as bucket (key text, "limit" int, minutes int)`
  // One bucket after the other, in an order that all keep to: whoever counts in two of them waits for nobody who waits.
  const counted = db.$with('counted', {}).as(sql`insert into ${throttle} as kept (key, count, ends_at)
    select key, 1, now() + make_interval(mins => minutes) from ${input} order by key
    on conflict (key) do update set
      count = case when kept.ends_at > now() then kept.count + 1 else 1 end,
      ends_at = case when kept.ends_at > now() then kept.ends_at else excluded.ends_at end
    where kept.ends_at <= now() or kept.count < (select "limit" from ${input} where key = kept.key)
    returning key`)
  // A few of the windows that ended, so that the table stays small.
  const swept = db.$with('swept', {}).as(sql`delete from ${throttle} where ${throttle.key} in (
    select key from ${throttle} where ends_at < now() and key not in (select key from ${input}) limit 100 for update skip locked)`)
  return db.with(counted, swept).select({ key: sql<string>`key` }).from(sql`counted`).prepare('throttle_count')
})

/** Whether each of the buckets had room, and has counted one. */
async function isCounted(db: Db, buckets: readonly Bucket[]): Promise<boolean> {
  const counted = await counting(db, {}).execute({ buckets: bucketsJson(buckets) })
  return counted.length === buckets.length
}

/** Undoes a transaction in which one of the buckets had no room. */
class BucketFull extends Error {}

/** Counts in all of the buckets or in none. */
const countTogether = (db: Pool, buckets: readonly Bucket[]): Promise<boolean> =>
  db
    .transaction(async (tx) => {
      if (!(await isCounted(tx, buckets))) throw new BucketFull()
      return true
    })
    .catch((error: unknown) => {
      if (error instanceof BucketFull) return false
      throw error
    })

/**
 * Counts one failure, or one attempt, in each bucket, atomically: of a thousand at once, as many pass as the limit allows.
 * What one bucket refuses is counted in none.
 * @throws {Problem} 429 with Retry-After, in seconds, where one is full
 */
export async function countAttempt(db: Pool, buckets: readonly Bucket[]): Promise<void> {
  if (await (buckets.length > 1 ? countTogether(db, buckets) : isCounted(db, buckets))) return
  await assertOpen(db, buckets)
  // It was full when this was to be counted, and is not any more.
  throw tooMany(1)
}

/** A common table expression that empties the bucket of the parameter `accountKey`, where there are rows in `when`. */
export const emptyingAccount = (db: Db, when: SQL) =>
  db.$with('emptied', {}).as(sql`update ${throttle} set count = 0
    where key = ${placeholder('accountKey')} and count > 0 and exists (select from ${when}) returning key`)

const emptying = prepared((db: Db) =>
  db
    .with(emptyingAccount(db, sql`(select where ${isOpen}) as open`))
    .select({ seconds: secondsUntilOpen() })
    .from(sql`(values (1)) as one`)
    .prepare('throttle_empty'),
)

/**
 * Forgets the failures of an account whose password has turned out right.
 * @throws {Problem} 429 where one of the buckets has filled while it was checked: then it is as if it had been wrong
 */
export async function emptyAccount(db: Db, buckets: readonly [Bucket, Bucket]): Promise<void> {
  const [, { key: accountKey }] = buckets
  const [row] = await emptying(db, {}).execute({ buckets: bucketsJson(buckets), accountKey })
  refuseUntilOpen(row?.seconds)
}
