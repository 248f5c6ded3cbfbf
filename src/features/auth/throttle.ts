import { createHash } from 'node:crypto'
import { type SQL, sql } from 'drizzle-orm'
import type { Config } from '../../config.ts'
import type { Database, DatabaseOrTransaction } from '../../context.ts'
import { preparedStatement } from '../../database/query/prepared-statement.ts'
import { toClientNetwork } from '../../http/client-network.ts'
import { Problem } from '../../http/problem.ts'
import { rateLimitBuckets } from './schema.ts'

const { placeholder } = sql

/** One thing that is counted, and how many of it may happen in how many minutes. */
export type RateLimitBucket = { key: string; limit: number; minutes: number }

/** Names of people and addresses are not kept here: only what they hash to. */
const createBucket = (limit: number, minutes: number, ...parts: string[]): RateLimitBucket => ({
  key: createHash('sha256').update(parts.join('\n')).digest('base64url'),
  limit,
  minutes,
})

/** The failures from an address, whatever they tried. */
const addressBucket = (config: Config, address: string) =>
  createBucket(config.LOGIN_FAILURES_PER_ADDRESS, config.LOGIN_FAILURES_WINDOW_MIN, 'address', toClientNetwork(address))

/** Where failures are counted that are of no account: a token that is none. */
export const tokenBuckets = (config: Config, address: string): RateLimitBucket[] => [addressBucket(config, address)]

/**
 * From where an account's password is tried: a network where the account has signed in before, any other, or any other
 * with an access token of the account.
 */
export type SignInOriginKind = 'known' | 'elsewhere' | 'signedInElsewhere'

const originKeys: Record<SignInOriginKind, (address: string) => string> = {
  known: toClientNetwork,
  elsewhere: () => '',
  signedInElsewhere: () => 'signed in',
}

/**
 * The failures of proving to be `account`: those of the address first, then those of the account. From a network where
 * the account has signed in before, and of whoever is signed in, they are counted apart, so that a stranger's failures do
 * not lock its owner out.
 */
export const signInBuckets = (
  config: Config,
  account: string,
  address: string,
  origin: SignInOriginKind,
): [RateLimitBucket, RateLimitBucket] => [
  addressBucket(config, address),
  createBucket(
    config.LOGIN_FAILURES_PER_ACCOUNT,
    config.LOGIN_FAILURES_WINDOW_MIN,
    'account',
    account,
    originKeys[origin](address),
  ),
]

/** The registrations, and changes of an e-mail address, from `address`. */
export const registrationBuckets = (config: Config, address: string): RateLimitBucket[] => [
  createBucket(
    config.REGISTRATIONS_PER_ADDRESS,
    config.REGISTRATIONS_WINDOW_MIN,
    'registration',
    toClientNetwork(address),
  ),
]

/** The parameter of {@link secondsUntilOpenSql} and {@link bucketsAreOpenSql}. */
export const bucketsJson = (buckets: readonly RateLimitBucket[]): string => JSON.stringify(buckets)

const fullBucketsSql = sql`from json_to_recordset(${placeholder('buckets')}::json) as bucket (key text, "limit" int, known boolean)
  join ${rateLimitBuckets} on ${rateLimitBuckets.key} = bucket.key and ${rateLimitBuckets.endsAt} > now() and ${rateLimitBuckets.count} >= bucket.limit`

/** In how many seconds the fullest of the parameter `buckets` opens again; null where none is full. `condition` may leave some out. */
export const secondsUntilOpenSql = (condition: SQL = sql`true`): SQL<number | null> =>
  sql<
    number | null
  >`(select ceil(extract(epoch from max(${rateLimitBuckets.endsAt}) - now()))::int ${fullBucketsSql} where ${condition})`

/** None of the parameter `buckets` is full. */
export const bucketsAreOpenSql: SQL = sql`not exists (select ${fullBucketsSql})`

const tooManyAttemptsProblem = (seconds: number): Problem => {
  const minutes = Math.ceil(seconds / 60)
  return new Problem('too-many-requests', {
    detail: `There were too many attempts. Try again in ${minutes} ${minutes === 1 ? 'minute' : 'minutes'}.`,
    headers: { 'Retry-After': String(Math.max(1, seconds)) },
  })
}

/** @throws {Problem} 429 with Retry-After, where there are seconds to wait before it may be tried again */
export function assertNoWait(waitSeconds: number | null | undefined): void {
  if (waitSeconds !== null && waitSeconds !== undefined) throw tooManyAttemptsProblem(waitSeconds)
}

const secondsUntilOpenStatement = preparedStatement((db: DatabaseOrTransaction) =>
  db.select({ seconds: secondsUntilOpenSql() }).from(sql`(values (1)) as one`).prepare('throttle_look'),
)

/** @throws {Problem} 429 where one of the buckets is full; nothing is counted */
export async function assertBucketsOpen(db: DatabaseOrTransaction, buckets: readonly RateLimitBucket[]): Promise<void> {
  const [row] = await secondsUntilOpenStatement(db, {}).execute({ buckets: bucketsJson(buckets) })
  assertNoWait(row?.seconds)
}

const countAttemptStatement = preparedStatement((db: DatabaseOrTransaction) => {
  const input = sql`json_to_recordset(${placeholder('buckets')}::json) as bucket (key text, "limit" int, minutes int)`
  // One bucket after the other, in an order that all keep to: whoever counts in two of them waits for nobody who waits.
  const counted = db.$with('counted', {}).as(sql`insert into ${rateLimitBuckets} as kept (key, count, ends_at)
    select key, 1, now() + make_interval(mins => minutes) from ${input} order by key
    on conflict (key) do update set
      count = case when kept.ends_at > now() then kept.count + 1 else 1 end,
      ends_at = case when kept.ends_at > now() then kept.ends_at else excluded.ends_at end
    where kept.ends_at <= now() or kept.count < (select "limit" from ${input} where key = kept.key)
    returning key`)
  // A few of the windows that ended, so that the table stays small.
  const swept = db.$with('swept', {}).as(sql`delete from ${rateLimitBuckets} where ${rateLimitBuckets.key} in (
    select key from ${rateLimitBuckets} where ends_at < now() and key not in (select key from ${input}) limit 100 for update skip locked)`)
  return db.with(counted, swept).select({ key: sql<string>`key` }).from(sql`counted`).prepare('throttle_count')
})

/** Whether each of the buckets had room, and has counted one. */
async function tryCountAttempt(db: DatabaseOrTransaction, buckets: readonly RateLimitBucket[]): Promise<boolean> {
  const counted = await countAttemptStatement(db, {}).execute({ buckets: bucketsJson(buckets) })
  return counted.length === buckets.length
}

/** Undoes a transaction in which one of the buckets had no room. */
class BucketFullError extends Error {}

/** Counts in all of the buckets or in none. */
const countInAllBuckets = (db: Database, buckets: readonly RateLimitBucket[]): Promise<boolean> =>
  db
    .transaction(async (tx) => {
      if (!(await tryCountAttempt(tx, buckets))) throw new BucketFullError()
      return true
    })
    .catch((error: unknown) => {
      if (error instanceof BucketFullError) return false
      throw error
    })

/**
 * Counts one failure, or one attempt, in each bucket, atomically: of a thousand at once, as many pass as the limit allows.
 * What one bucket refuses is counted in none.
 * @throws {Problem} 429 with Retry-After, in seconds, where one is full
 */
export async function countAttempt(db: Database, buckets: readonly RateLimitBucket[]): Promise<void> {
  if (await (buckets.length > 1 ? countInAllBuckets(db, buckets) : tryCountAttempt(db, buckets))) return
  await assertBucketsOpen(db, buckets)
  // It was full when this was to be counted, and is not any more.
  throw tooManyAttemptsProblem(1)
}

/** A common table expression that empties the bucket of the parameter `accountKey`, where there are rows in `when`. */
export const resetFailuresCte = (db: DatabaseOrTransaction, when: SQL) =>
  db.$with('emptied', {}).as(sql`update ${rateLimitBuckets} set count = 0
    where key = ${placeholder('accountKey')} and count > 0 and exists (select from ${when}) returning key`)

const resetFailuresStatement = preparedStatement((db: DatabaseOrTransaction) =>
  db
    .with(resetFailuresCte(db, sql`(select where ${bucketsAreOpenSql}) as open`))
    .select({ seconds: secondsUntilOpenSql() })
    .from(sql`(values (1)) as one`)
    .prepare('throttle_empty'),
)

/**
 * Forgets the failures of an account whose password has turned out right.
 * @throws {Problem} 429 where one of the buckets has filled while it was checked: then it is as if it had been wrong
 */
export async function resetFailures(
  db: DatabaseOrTransaction,
  buckets: readonly [RateLimitBucket, RateLimitBucket],
): Promise<void> {
  const [, { key: accountKey }] = buckets
  const [row] = await resetFailuresStatement(db, {}).execute({ buckets: bucketsJson(buckets), accountKey })
  assertNoWait(row?.seconds)
}
