import { and, eq, gt, type SQL, sql } from 'drizzle-orm'
import type { Config } from '../config.ts'
import type { DatabaseOrTransaction } from '../context.ts'
import { preparedStatement } from '../database/query/prepared-statement.ts'
import { limitExceededProblem, type UsageLimitSetting } from '../http/usage-limits.ts'
import type { Role } from '../roles.ts'
import { dailyUse } from './schema.ts'

const { placeholder } = sql

type DailyLimitSettings = {
  appliesTo: Record<Role, boolean>
  countSetting: UsageLimitSetting
  mibSetting?: UsageLimitSetting
}

/** What is limited by the day, for whom, and by which settings. */
const dailyLimitSettings = {
  patients: { appliesTo: { admin: false, doctor: false, patient: true }, countSetting: 'PATIENTS_PER_ACCOUNT_DAY' },
  uploads: {
    appliesTo: { admin: false, doctor: true, patient: true },
    countSetting: 'UPLOADS_PER_ACCOUNT_DAY',
    mibSetting: 'UPLOAD_MIB_PER_ACCOUNT_DAY',
  },
} as const satisfies Record<string, DailyLimitSettings>

/** What is limited by the day. */
export type DailyLimitKind = keyof typeof dailyLimitSettings

/** The limits that an account is held to, as parameters of {@link countDailyUseCte}. */
export type DailyLimit = { kind: DailyLimitKind; maxCount: number; maxBytes: number }

/** More than can be reached in a day: for a limit that is 0, beside one that is not. */
const unlimitedCount = 2 ** 31 - 1
const bytesPerMib = 2 ** 20

/** The limit on `kind` that an account of `role` is held to; undefined where it is held to none. */
export function getDailyLimit(config: Config, role: Role, kind: DailyLimitKind): DailyLimit | undefined {
  const { appliesTo, countSetting, mibSetting }: DailyLimitSettings = dailyLimitSettings[kind]
  const [maxCount, maxMib] = [config[countSetting], mibSetting ? config[mibSetting] : 0]
  if (!appliesTo[role] || (maxCount === 0 && maxMib === 0)) return undefined
  return { kind, maxCount: maxCount || unlimitedCount, maxBytes: (maxMib || unlimitedCount) * bytesPerMib }
}

/**
 * A common table expression, `counted`, that counts one use of `bytes` for the account `currentUserId` where there is a row in
 * `candidate`, and has a row where that is within the {@link DailyLimit} of the parameters. One statement does both, what
 * it counts is undone with what it makes, and at once with others it counts one after the other.
 */
export const countDailyUseCte = (db: DatabaseOrTransaction, { candidate, bytes }: { candidate: SQL; bytes: SQL }) => {
  const windowIsOpen = sql`used.ends_at > now()`
  return db.$with('counted', {}).as(sql`insert into ${dailyUse} as used (user_id, kind, count, bytes, ends_at)
    select ${placeholder('currentUserId')}::uuid, ${placeholder('kind')}, 1, ${bytes}, now() + interval '1 day' from ${candidate}
      where ${bytes} <= ${placeholder('maxBytes')}::bigint
    on conflict (user_id, kind) do update set
      count = case when ${windowIsOpen} then used.count else 0 end + 1,
      bytes = case when ${windowIsOpen} then used.bytes else 0 end + excluded.bytes,
      ends_at = case when ${windowIsOpen} then used.ends_at else excluded.ends_at end
    where not ${windowIsOpen} or (used.count < ${placeholder('maxCount')}::int
      and used.bytes + excluded.bytes <= ${placeholder('maxBytes')}::bigint)
    returning used.user_id`)
}

/** Where the statement with {@link countDailyUseCte} may make its row. */
export const dailyUseWasCounted = sql`exists (select from counted)`

const dailyUseStatement = preparedStatement((db: DatabaseOrTransaction) =>
  db
    .select({
      count: dailyUse.count,
      bytes: dailyUse.bytes,
      seconds: sql<number>`ceil(extract(epoch from ${dailyUse.endsAt} - now()))::int`,
    })
    .from(dailyUse)
    .where(
      and(
        eq(dailyUse.userId, placeholder('currentUserId')),
        eq(dailyUse.kind, placeholder('kind')),
        gt(dailyUse.endsAt, sql`now()`),
      ),
    )
    .prepare('daily_use'),
)

const secondsPerDay = 24 * 60 * 60

/** The refusal of a use of `bytes` by the account `currentUserId`; undefined where that is within its limit. */
export async function findDailyLimitProblem(
  db: DatabaseOrTransaction,
  config: Config,
  currentUserId: string,
  limit: DailyLimit,
  bytes = 0,
) {
  const { countSetting, mibSetting }: DailyLimitSettings = dailyLimitSettings[limit.kind]
  const [used = { count: 0, bytes: 0, seconds: secondsPerDay }] = await dailyUseStatement(db, {}).execute({
    currentUserId,
    kind: limit.kind,
  })
  if (used.count >= limit.maxCount) return limitExceededProblem(config, countSetting, used.seconds)
  return mibSetting && used.bytes + bytes > limit.maxBytes
    ? limitExceededProblem(config, mibSetting, used.seconds)
    : undefined
}
