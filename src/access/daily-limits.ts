import { and, eq, gt, type SQL, sql } from 'drizzle-orm'
import type { Config } from '../config.ts'
import type { Db } from '../db/client.ts'
import { prepared } from '../db/prepared.ts'
import { beyondLimit, type LimitName } from './limits.ts'
import type { Role } from './permissions.ts'
import { dailyUse } from './schema.ts'

const { placeholder } = sql

type Kind = { holds: Record<Role, boolean>; count: LimitName; mib?: LimitName }

/** What is limited by the day, for whom, and by which settings. */
const kinds = {
  patients: { holds: { admin: false, doctor: false, patient: true }, count: 'PATIENTS_PER_ACCOUNT_DAY' },
  uploads: {
    holds: { admin: false, doctor: true, patient: true },
    count: 'UPLOADS_PER_ACCOUNT_DAY',
    mib: 'UPLOAD_MIB_PER_ACCOUNT_DAY',
  },
} as const satisfies Record<string, Kind>

export type DailyKind = keyof typeof kinds

/** The limits that an account is held to, as parameters of {@link countUse}. */
export type DailyLimit = { kind: DailyKind; maxCount: number; maxBytes: number }

/** More than can be reached in a day: for a limit that is 0, beside one that is not. */
const none = 2 ** 31 - 1
const bytesInMib = 2 ** 20

/** The limit on `kind` that an account of `role` is held to; undefined where it is held to none. */
export function dailyLimit(config: Config, role: Role, kind: DailyKind): DailyLimit | undefined {
  const { holds, count, mib }: Kind = kinds[kind]
  const [maxCount, maxMib] = [config[count], mib ? config[mib] : 0]
  if (!holds[role] || (maxCount === 0 && maxMib === 0)) return undefined
  return { kind, maxCount: maxCount || none, maxBytes: (maxMib || none) * bytesInMib }
}

/**
 * A common table expression, `counted`, that counts one use of `bytes` for the account `me` where there is a row in
 * `candidate`, and has a row where that is within the {@link DailyLimit} of the parameters. One statement does both, what
 * it counts is undone with what it makes, and at once with others it counts one after the other.
 */
export const countUse = (db: Db, { candidate, bytes }: { candidate: SQL; bytes: SQL }) => {
  const open = sql`used.ends_at > now()`
  return db.$with('counted', {}).as(sql`insert into ${dailyUse} as used (user_id, kind, count, bytes, ends_at)
    select ${placeholder('me')}::uuid, ${placeholder('kind')}, 1, ${bytes}, now() + interval '1 day' from ${candidate}
      where ${bytes} <= ${placeholder('maxBytes')}::bigint
    on conflict (user_id, kind) do update set
      count = case when ${open} then used.count else 0 end + 1,
      bytes = case when ${open} then used.bytes else 0 end + excluded.bytes,
      ends_at = case when ${open} then used.ends_at else excluded.ends_at end
    where not ${open} or (used.count < ${placeholder('maxCount')}::int
      and used.bytes + excluded.bytes <= ${placeholder('maxBytes')}::bigint)
    returning used.user_id`)
}

/** Where the statement with {@link countUse} may make its row. */
export const isCountedUse = sql`exists (select from counted)`

const reading = prepared((db: Db) =>
  db
    .select({
      count: dailyUse.count,
      bytes: dailyUse.bytes,
      seconds: sql<number>`ceil(extract(epoch from ${dailyUse.endsAt} - now()))::int`,
    })
    .from(dailyUse)
    .where(
      and(
        eq(dailyUse.userId, placeholder('me')),
        eq(dailyUse.kind, placeholder('kind')),
        gt(dailyUse.endsAt, sql`now()`),
      ),
    )
    .prepare('daily_use'),
)

const daySeconds = 24 * 60 * 60

/** The refusal of a use of `bytes` by the account `me`; undefined where that is within its limit. */
export async function refusalOfUse(db: Db, config: Config, me: string, limit: DailyLimit, bytes = 0) {
  const { count, mib }: Kind = kinds[limit.kind]
  const [used = { count: 0, bytes: 0, seconds: daySeconds }] = await reading(db, {}).execute({ me, kind: limit.kind })
  if (used.count >= limit.maxCount) return beyondLimit(config, count, used.seconds)
  return mib && used.bytes + bytes > limit.maxBytes ? beyondLimit(config, mib, used.seconds) : undefined
}
