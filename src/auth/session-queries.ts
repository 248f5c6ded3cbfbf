import { and, eq, exists, gt, isNull, or, type SQL, sql } from 'drizzle-orm'
import { QueryBuilder } from 'drizzle-orm/pg-core'
import type { Caller } from '../access/can.ts'
import { type Actor, sent, trail } from '../audit/record.ts'
import type { Db } from '../db/client.ts'
import { pages, preparedPage } from '../db/pages.ts'
import { prepared } from '../db/prepared.ts'
import { sessionEnded, unauthorized } from './authenticate.ts'
import { sessions, shownSession, users } from './schema.ts'

const { placeholder } = sql
const live = and(isNull(sessions.revokedAt), gt(sessions.expiresAt, sql`now()`))

const earlier = new QueryBuilder()
  .select({ one: sql`1` })
  .from(sessions)
  .where(
    and(
      eq(sessions.userId, users.id),
      or(eq(sessions.network, placeholder('network')), eq(sessions.ip, placeholder('ip'))),
    ),
  )
/** Whether the account has signed in before from the network of the parameters `ip` and `network`. */
export const isKnownNetwork = sql<boolean>`${exists(earlier)}`

const sessionPages = pages({
  orders: { createdAt: { key: sessions.createdAt, type: 'timestamptz', id: sessions.id } },
  where: () => and(eq(sessions.userId, placeholder('me')), live),
  page: (db, parts) =>
    preparedPage(
      db,
      'sessions',
      parts,
      {
        shown: { ...shownSession, current: sql<boolean>`${sessions.id} = ${placeholder('current')}::uuid` },
        kept: { id: sessions.id },
      },
      (fields) => db.select(fields).from(sessions),
    ),
  count: (db, where) =>
    db.select({ count: sql<number>`count(*)::int` }).from(sessions).where(where).prepare('sessions_count'),
})

/** The caller's sessions that have not ended. */
export const listSessions = (db: Db, caller: Caller) => sessionPages(db, {}, { me: caller.id, current: caller.session })

/** Which of the live sessions: one, those of an account, those of an account beyond so many. */
type Which = 'one' | 'oneOfAccount' | 'allOfAccount' | 'oldestOfAccount'

const ofAccount = eq(sessions.userId, placeholder('userId'))
const conditions: Record<Which, SQL | undefined> = {
  one: eq(sessions.id, placeholder('session')),
  oneOfAccount: and(eq(sessions.id, placeholder('session')), ofAccount),
  allOfAccount: ofAccount,
  oldestOfAccount: sql`${sessions.id} in (select ${sessions.id} from ${sessions} where ${and(ofAccount, live)}
    order by ${sessions.createdAt} desc, ${sessions.id} desc offset ${placeholder('kept')}::int)`,
}

const ending = prepared((db: Db, { which }: { which: Which }) => {
  // Locked in one order, so that statements that end the same sessions never wait for each other.
  const locked = db
    .$with('locked', {})
    .as(
      sql`select ${sessions.id} from ${sessions} where ${and(conditions[which], live)} order by ${sessions.id} for no key update`,
    )
  const ended = db.$with('sessions', {}).as(sql`update ${sessions} set revoked_at = now()
    from locked, ${users} where ${and(sql`locked.id = ${sessions.id}`, eq(users.id, sessions.userId), live)} returning ${sessions}.*, ${users.role}`)
  const recording = trail(db, {
    resource: 'auth',
    changes: 'changed',
    // One request, one row, however many sessions it ended.
    rows: sql`(select * from ${sessions} order by ${sessions.createdAt} limit 1) as ${sessions}`,
    resourceId: which === 'allOfAccount' ? sql`null::uuid` : sessions.id,
    userId: sessions.userId,
    role: sql`role_name`,
    action: sql`'auth.logout'`,
  })
  return db.with(locked, ended, recording).select({ id: sessions.id }).from(sessions).prepare('sessions_end')
})

/**
 * The session of the parameter `session`, as a common table expression, where it has not ended. What outlasts a session
 * is made only with a row in it, also by a process that has not heard of the end yet. It stays locked until that is
 * committed, so that whoever ends the session sees what it has made.
 */
export const lockedSession = (db: Db) =>
  db
    .$with('session', {})
    .as(
      sql`select ${sessions.id} from ${sessions} where ${and(eq(sessions.id, placeholder('session')), live)} for share`,
    )

/** @throws {Problem} 401 where the caller's session has ended */
export async function assertLiveSession(db: Db, caller: Caller): Promise<void> {
  const isLive = and(eq(sessions.id, caller.session), live)
  const [session] = await db.select({ id: sessions.id }).from(sessions).where(isLive)
  if (!session) throw unauthorized(sessionEnded)
}

type Sender = Pick<Actor, 'ip' | 'userAgent' | 'requestId'>

/**
 * Ends the live sessions of that id, of that user, or of both, for good, and says which those were. That leaves one row
 * of the trail.
 */
export async function endSessions(
  db: Db,
  sender: Sender,
  { session, userId }: { session?: string; userId?: string },
): Promise<string[]> {
  if (session === undefined && userId === undefined) return []
  const which = session === undefined ? 'allOfAccount' : userId === undefined ? 'one' : 'oneOfAccount'
  const ended = await ending(db, { which }).execute({ ...sent(sender, 204), session, userId })
  return ended.map(({ id }) => id)
}

/**
 * Ends the account's oldest live sessions until `kept` are left, and says which those were. A statement of its own, after
 * the one that begins a session, so that the last of many at once sees all of them. Its row of the trail names the oldest.
 */
export async function endOldestSessions(db: Db, sender: Sender, userId: string, kept: number): Promise<string[]> {
  const ended = await ending(db, { which: 'oldestOfAccount' }).execute({ ...sent(sender, 200), userId, kept })
  return ended.map(({ id }) => id)
}
