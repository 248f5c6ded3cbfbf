import { and, eq, gt, isNull, sql } from 'drizzle-orm'
import type { TokenSession } from '../../access/tokens.ts'
import { auditEntryCte, auditParamsWithoutActor } from '../../audit/entry-cte.ts'
import type { Config } from '../../config.ts'
import type { ClientInfo, DatabaseOrTransaction } from '../../context.ts'
import { newId } from '../../database/id.ts'
import { preparedStatement } from '../../database/query/prepared-statement.ts'
import { toClientNetwork } from '../../http/client-network.ts'
import { sessions, userColumns, users } from './schema.ts'
import { isKnownNetwork } from './session-queries.ts'
import {
  bucketsAreOpenSql,
  bucketsJson,
  type RateLimitBucket,
  resetFailuresCte,
  secondsUntilOpenSql,
  signInBuckets,
} from './throttle.ts'

const { placeholder } = sql
/** What a token pair is made of. */
const tokenSessionColumns = {
  id: sessions.id,
  userId: sessions.userId,
  generation: sessions.generation,
  rotatedAt: sessions.rotatedAt,
  expiresAt: sessions.expiresAt,
}

const insertSessionSql = (
  userId: ReturnType<typeof sql>,
) => sql`insert into ${sessions} (id, user_id, expires_at, ip, network, user_agent)
  select ${placeholder('session')}::uuid, ${users.id}, now() + make_interval(days => ${placeholder('days')}::int), ${placeholder('ip')}, ${placeholder('network')}, ${placeholder('userAgent')}
  from ${userId} returning *`

const newSessionParams = (config: Config, client: ClientInfo) => ({
  ...auditParamsWithoutActor(client, 200),
  session: newId(),
  network: toClientNetwork(client.ip),
  days: config.SESSION_LIFETIME_DAYS,
})

/** The row that a sign-in leaves: by the account itself, about no field. */
const signInAuditOptions = {
  resource: 'auth',
  change: 'created',
  resourceId: sessions.id,
  userId: users.id,
  role: users.role,
} as const

const registerStatement = preparedStatement((db: DatabaseOrTransaction) => {
  // Of many at once on an empty database the key of `founding` lets one in; the others wait for it and find it taken.
  const founder = db.$with('founder', {}).as(sql`insert into founding (once)
    select true where ${placeholder('founder')}::boolean and not exists (select from ${users}) on conflict do nothing returning once`)
  const user = db.$with('users', {}).as(sql`insert into ${users} (id, name, email, password_hash, role_name)
    select ${placeholder('id')}::uuid, ${placeholder('name')}, ${placeholder('email')}, ${placeholder('passwordHash')},
      case when exists (select from founder) then 'admin' else 'patient' end returning *`)
  const session = db.$with('sessions', {}).as(insertSessionSql(sql`${users}`))
  const auditEntry = auditEntryCte(db, {
    ...signInAuditOptions,
    action: sql`'auth.register'`,
    from: sql`${users}, ${sessions}`,
  })
  return db
    .with(founder, user, session, auditEntry)
    .select({ user: userColumns, session: tokenSessionColumns })
    .from(users)
    .innerJoin(sessions, eq(sessions.userId, users.id))
    .prepare('register')
})

/** A new account, signed in: the administrator where it is the first there is, a patient otherwise. @throws {Problem} 409 */
export async function registerAccount(
  db: DatabaseOrTransaction,
  config: Config,
  client: ClientInfo,
  account: { name: string; email: string; passwordHash: string },
) {
  const values = {
    ...newSessionParams(config, client),
    ...account,
    status: 201,
    id: newId(),
    founder: config.FIRST_USER_IS_ADMIN,
  }
  const [row] = await registerStatement(db, {}).execute(values)
  if (!row) throw new Error('a registration returned no row')
  return row
}

const credentialsStatement = preparedStatement((db: DatabaseOrTransaction) =>
  db
    .select({
      id: users.id,
      active: users.active,
      passwordHash: users.passwordHash,
      isKnownNetwork,
      seconds: secondsUntilOpenSql(sql`bucket.known is null or bucket.known = ${isKnownNetwork}`),
    })
    .from(sql`(values (1)) as one`)
    .leftJoin(users, eq(users.email, placeholder('email')))
    .prepare('credentials'),
)

/**
 * What a sign-in is checked against: the account of this e-mail address, if there is one; the buckets in which a failure
 * is counted; and in how many `waitSeconds` it may be tried again, where one of them is full.
 */
export async function findCredentials(db: DatabaseOrTransaction, config: Config, email: string, ip: string) {
  const [addressBucket, strangerBucket] = signInBuckets(config, email, ip, 'elsewhere')
  const [, knownBucket] = signInBuckets(config, email, ip, 'known')
  const buckets = JSON.stringify([addressBucket, { ...strangerBucket, known: false }, { ...knownBucket, known: true }])
  const [row] = await credentialsStatement(db, {}).execute({ email, ip, network: toClientNetwork(ip), buckets })
  if (!row) throw new Error('the credentials returned no row')
  const { id, active, passwordHash } = row
  const account = id !== null && passwordHash !== null ? { id, active: active === true, passwordHash } : undefined
  return {
    account,
    buckets: [addressBucket, row.isKnownNetwork ? knownBucket : strangerBucket] as const,
    waitSeconds: row.seconds,
  }
}

const signInStatement = preparedStatement((db: DatabaseOrTransaction) => {
  const user = db
    .$with('users', {})
    .as(
      sql`select * from ${users} where ${and(eq(users.id, placeholder('userId')), eq(users.active, true), eq(users.passwordHash, placeholder('passwordHash')), bucketsAreOpenSql)} for share`,
    )
  const session = db.$with('sessions', {}).as(insertSessionSql(sql`${users}`))
  const auditEntry = auditEntryCte(db, {
    ...signInAuditOptions,
    action: sql`'auth.login'`,
    from: sql`${users}, ${sessions}`,
  })
  return db
    .with(user, session, auditEntry, resetFailuresCte(db, sql`${users}`))
    .select({ user: userColumns, session: tokenSessionColumns })
    .from(users)
    .innerJoin(sessions, eq(sessions.userId, users.id))
    .prepare('login')
})

/**
 * A new session of the account, whose failures are forgotten; undefined where one of the `buckets` has filled, the account
 * was deactivated, or its password changed, since that was checked.
 */
export async function signIn(
  db: DatabaseOrTransaction,
  config: Config,
  client: ClientInfo,
  { id: userId, passwordHash }: { id: string; passwordHash: string },
  buckets: readonly [RateLimitBucket, RateLimitBucket],
) {
  const [, { key: accountKey }] = buckets
  const throttled = { buckets: bucketsJson(buckets), accountKey }
  const values = { ...newSessionParams(config, client), ...throttled, userId, passwordHash }
  const [row] = await signInStatement(db, {}).execute(values)
  return row
}

/** Replaces a hash of older parameters, unless the password was changed meanwhile. */
export const updatePasswordHash = (db: DatabaseOrTransaction, userId: string, oldHash: string, newHash: string) =>
  db
    .update(users)
    .set({ passwordHash: newHash })
    .where(and(eq(users.id, userId), eq(users.passwordHash, oldHash)))

const isCurrentToken = sql`${sessions.generation} = ${placeholder('generation')}::int`
// Two tabs, or an answer that was lost: the token before the one in force still gets the same successor for a while.
const isPreviousTokenWithin10s = sql`${sessions.generation} = ${placeholder('generation')}::int + 1 and ${sessions.rotatedAt} > now() - interval '10 seconds'`

const refreshStatement = preparedStatement((db: DatabaseOrTransaction) => {
  const session = db.$with('sessions', {}).as(sql`update ${sessions} set
      generation = ${sessions.generation} + (${isCurrentToken})::int,
      rotated_at = case when ${isCurrentToken} then now() else ${sessions.rotatedAt} end,
      last_used_at = now(),
      revoked_at = case when ${isCurrentToken} or ${isPreviousTokenWithin10s} then null else now() end
    from ${users} where ${and(eq(sessions.id, placeholder('session')), eq(sessions.userId, placeholder('userId')), eq(users.id, sessions.userId), eq(users.active, true), isNull(sessions.revokedAt), gt(sessions.expiresAt, sql`now()`))} returning ${sessions}.*, ${users.role}`)
  const auditEntry = auditEntryCte(db, {
    ...signInAuditOptions,
    action: sql`case when ${sessions.revokedAt} is null then 'auth.refresh' else 'auth.refresh_reused' end`,
    from: sql`${sessions}`,
    userId: sessions.userId,
    role: sql`role_name`,
  })
  return db
    .with(session, auditEntry)
    .select({ ...tokenSessionColumns, revokedAt: sessions.revokedAt })
    .from(sessions)
    .prepare('refresh')
})

/** What comes of a refresh token that is used. */
type RefreshOutcome =
  | { outcome: 'rotated'; session: TokenSession }
  /** Used again later than ten seconds after its successor was made: its session has ended with that (RFC 9700, section 4.14.2). */
  | { outcome: 'reused' }
  /** There is no such live session. */
  | { outcome: 'unknown' }

/** Takes the session to its next generation, in one statement, whatever happens at once. */
export async function rotateRefreshToken(
  db: DatabaseOrTransaction,
  client: ClientInfo,
  session: { id: string; userId: string; generation: number },
): Promise<RefreshOutcome> {
  const { id, ...rest } = session
  const [row] = await refreshStatement(db, {}).execute({
    ...auditParamsWithoutActor(client, 200),
    ...rest,
    session: id,
  })
  if (!row) return { outcome: 'unknown' }
  return row.revokedAt ? { outcome: 'reused' } : { outcome: 'rotated', session: row }
}
