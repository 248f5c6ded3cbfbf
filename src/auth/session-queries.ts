import { and, eq, gt, isNull, type SQL, sql } from 'drizzle-orm'
import type { Caller } from '../access/can.ts'
import { type Actor, sent, trail } from '../audit/record.ts'
import type { Db } from '../db/client.ts'
import { pages, preparedPage } from '../db/pages.ts'
import { prepared } from '../db/prepared.ts'
import { sessions, shownSession, users } from './schema.ts'

const { placeholder } = sql
const live = and(isNull(sessions.revokedAt), gt(sessions.expiresAt, sql`now()`))

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
    role: sql`role`,
    action: sql`'auth.logout'`,
  })
  return db.with(locked, ended, recording).select({ id: sessions.id }).from(sessions).prepare('sessions_end')
})

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
