import { and, eq, gt, isNull, sql } from 'drizzle-orm'
import { type Actor, sent, trail } from '../audit/record.ts'
import type { Config } from '../config.ts'
import type { Db } from '../db/client.ts'
import { prepared } from '../db/prepared.ts'
import { networkOf } from '../http/network.ts'
import { newId } from '../id.ts'
import { sessions, shownUser, users } from './schema.ts'
import { isKnownNetwork } from './session-queries.ts'
import { type Bucket, bucketsJson, emptyingAccount, isOpen, secondsUntilOpen, signInBuckets } from './throttle.ts'

const { placeholder } = sql
type Sender = Pick<Actor, 'ip' | 'userAgent' | 'requestId'>

/** What a token pair is made of. */
const tokenRow = {
  id: sessions.id,
  userId: sessions.userId,
  generation: sessions.generation,
  rotatedAt: sessions.rotatedAt,
  expiresAt: sessions.expiresAt,
}

const newSession = (
  userId: ReturnType<typeof sql>,
) => sql`insert into ${sessions} (id, user_id, expires_at, ip, network, user_agent)
  select ${placeholder('session')}::uuid, ${users.id}, now() + make_interval(days => ${placeholder('days')}::int), ${placeholder('ip')}, ${placeholder('network')}, ${placeholder('userAgent')}
  from ${userId} returning *`

const sessionValues = (config: Config, sender: Sender) => ({
  ...sent(sender, 200),
  session: newId(),
  network: networkOf(sender.ip),
  days: config.SESSION_LIFETIME_DAYS,
})

/** The row that a sign-in leaves: by the account itself, about no field. */
const signInTrail = {
  resource: 'auth',
  changes: 'created',
  resourceId: sessions.id,
  userId: users.id,
  role: users.role,
} as const

const registering = prepared((db: Db) => {
  // Of many at once on an empty database the key of `founding` lets one in; the others wait for it and find it taken.
  const founder = db.$with('founder', {}).as(sql`insert into founding (once)
    select true where ${placeholder('founder')}::boolean and not exists (select from ${users}) on conflict do nothing returning once`)
  const user = db.$with('users', {}).as(sql`insert into ${users} (id, name, email, password_hash, role_name)
    select ${placeholder('id')}::uuid, ${placeholder('name')}, ${placeholder('email')}, ${placeholder('passwordHash')},
      case when exists (select from founder) then 'admin' else 'patient' end returning *`)
  const session = db.$with('sessions', {}).as(newSession(sql`${users}`))
  const recording = trail(db, { ...signInTrail, action: sql`'auth.register'`, rows: sql`${users}, ${sessions}` })
  return db
    .with(founder, user, session, recording)
    .select({ user: shownUser, session: tokenRow })
    .from(users)
    .innerJoin(sessions, eq(sessions.userId, users.id))
    .prepare('register')
})

/** A new account, signed in: the administrator where it is the first there is, a patient otherwise. @throws {Problem} 409 */
export async function register(
  db: Db,
  config: Config,
  sender: Sender,
  account: { name: string; email: string; passwordHash: string },
) {
  const values = {
    ...sessionValues(config, sender),
    ...account,
    status: 201,
    id: newId(),
    founder: config.FIRST_USER_IS_ADMIN,
  }
  const [row] = await registering(db, {}).execute(values)
  if (!row) throw new Error('a registration returned no row')
  return row
}

const credentials = prepared((db: Db) =>
  db
    .select({
      id: users.id,
      active: users.active,
      passwordHash: users.passwordHash,
      known: isKnownNetwork,
      seconds: secondsUntilOpen(sql`bucket.known is null or bucket.known = ${isKnownNetwork}`),
    })
    .from(sql`(values (1)) as one`)
    .leftJoin(users, eq(users.email, placeholder('email')))
    .prepare('credentials'),
)

/**
 * What a sign-in is checked against: the account of this e-mail address, if there is one; the buckets in which a failure
 * is counted; and in how many `seconds` it may be tried again, where one of them is full.
 */
export async function findCredentials(db: Db, config: Config, email: string, ip: string) {
  const [ofAddress, ofStranger] = signInBuckets(config, email, ip, 'elsewhere')
  const [, ofKnown] = signInBuckets(config, email, ip, 'known')
  const buckets = JSON.stringify([ofAddress, { ...ofStranger, known: false }, { ...ofKnown, known: true }])
  const [row] = await credentials(db, {}).execute({ email, ip, network: networkOf(ip), buckets })
  if (!row) throw new Error('the credentials returned no row')
  const { id, active, passwordHash } = row
  const account = id !== null && passwordHash !== null ? { id, active: active === true, passwordHash } : undefined
  return { account, buckets: [ofAddress, row.known ? ofKnown : ofStranger] as const, seconds: row.seconds }
}

const signingIn = prepared((db: Db) => {
  const user = db
    .$with('users', {})
    .as(
      sql`select * from ${users} where ${and(eq(users.id, placeholder('userId')), eq(users.active, true), eq(users.passwordHash, placeholder('passwordHash')), isOpen)} for share`,
    )
  const session = db.$with('sessions', {}).as(newSession(sql`${users}`))
  const recording = trail(db, { ...signInTrail, action: sql`'auth.login'`, rows: sql`${users}, ${sessions}` })
  return db
    .with(user, session, recording, emptyingAccount(db, sql`${users}`))
    .select({ user: shownUser, session: tokenRow })
    .from(users)
    .innerJoin(sessions, eq(sessions.userId, users.id))
    .prepare('login')
})

/**
 * A new session of the account, whose failures are forgotten; undefined where one of the `buckets` has filled, the account
 * was deactivated, or its password changed, since that was checked.
 */
export async function signIn(
  db: Db,
  config: Config,
  sender: Sender,
  { id: userId, passwordHash }: { id: string; passwordHash: string },
  buckets: readonly [Bucket, Bucket],
) {
  const [, { key: accountKey }] = buckets
  const throttled = { buckets: bucketsJson(buckets), accountKey }
  const values = { ...sessionValues(config, sender), ...throttled, userId, passwordHash }
  const [row] = await signingIn(db, {}).execute(values)
  return row
}

/** Replaces a hash of older parameters, unless the password was changed meanwhile. */
export const rehash = (db: Db, userId: string, from: string, to: string) =>
  db
    .update(users)
    .set({ passwordHash: to })
    .where(and(eq(users.id, userId), eq(users.passwordHash, from)))

const inForce = sql`${sessions.generation} = ${placeholder('generation')}::int`
// Two tabs, or an answer that was lost: the token before the one in force still gets the same successor for a while.
const justRotated = sql`${sessions.generation} = ${placeholder('generation')}::int + 1 and ${sessions.rotatedAt} > now() - interval '10 seconds'`

const refreshing = prepared((db: Db) => {
  const session = db.$with('sessions', {}).as(sql`update ${sessions} set
      generation = ${sessions.generation} + (${inForce})::int,
      rotated_at = case when ${inForce} then now() else ${sessions.rotatedAt} end,
      last_used_at = now(),
      revoked_at = case when ${inForce} or ${justRotated} then null else now() end
    from ${users} where ${and(eq(sessions.id, placeholder('session')), eq(sessions.userId, placeholder('userId')), eq(users.id, sessions.userId), eq(users.active, true), isNull(sessions.revokedAt), gt(sessions.expiresAt, sql`now()`))} returning ${sessions}.*, ${users.role}`)
  const recording = trail(db, {
    ...signInTrail,
    action: sql`case when ${sessions.revokedAt} is null then 'auth.refresh' else 'auth.refresh_reused' end`,
    rows: sql`${sessions}`,
    userId: sessions.userId,
    role: sql`role_name`,
  })
  return db
    .with(session, recording)
    .select({ ...tokenRow, revokedAt: sessions.revokedAt })
    .from(sessions)
    .prepare('refresh')
})

/**
 * Takes the session a generation on, in one statement, whatever happens at once. A token used again later than ten
 * seconds after its successor was made revokes the session: the row comes back with `revokedAt`, and it is committed.
 * Undefined where there is no such live session.
 */
export async function rotate(db: Db, sender: Sender, session: { id: string; userId: string; generation: number }) {
  const { id, ...rest } = session
  const [row] = await refreshing(db, {}).execute({ ...sent(sender, 200), ...rest, session: id })
  return row
}
