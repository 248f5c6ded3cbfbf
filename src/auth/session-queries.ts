import { and, eq, gt, isNull, sql } from 'drizzle-orm'
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

type Which = { one: boolean; owned: boolean }

const ending = prepared((db: Db, { one, owned }: Which) => {
  const ended = db.$with('sessions', {}).as(sql`update ${sessions} set revoked_at = now()
    from ${users} where ${and(eq(users.id, sessions.userId), one ? eq(sessions.id, placeholder('session')) : undefined, owned ? eq(sessions.userId, placeholder('userId')) : undefined, live)} returning ${sessions}.*, ${users.role}`)
  const recording = trail(db, {
    resource: 'auth',
    changes: 'changed',
    // One request, one row, however many sessions it ended.
    rows: sql`(select * from ${sessions} limit 1) as ${sessions}`,
    resourceId: one ? sessions.id : sql`null::uuid`,
    userId: sessions.userId,
    role: sql`role`,
    action: sql`'auth.logout'`,
  })
  return db.with(ended, recording).select({ id: sessions.id }).from(sessions).prepare('sessions_end')
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
  const ended = await ending(db, { one: session !== undefined, owned: userId !== undefined }).execute({
    ...sent(sender, 204),
    session,
    userId,
  })
  return ended.map(({ id }) => id)
}
