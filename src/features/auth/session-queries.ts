import { and, eq, exists, or, type SQL, sql } from 'drizzle-orm'
import { QueryBuilder } from 'drizzle-orm/pg-core'
import { isLiveSession } from '../../access/live-session.ts'
import { auditEntryCte, auditParamsWithoutActor } from '../../audit/entry-cte.ts'
import type { ClientInfo, DatabaseOrTransaction, RequestContext } from '../../context.ts'
import { defineKeysetList, preparedPageQuery } from '../../database/query/keyset-list.ts'
import { preparedStatement } from '../../database/query/prepared-statement.ts'
import { sessionColumns, sessions, users } from './schema.ts'

const { placeholder } = sql

const earlierSessionSubquery = new QueryBuilder()
  .select({ one: sql`1` })
  .from(sessions)
  .where(
    and(
      eq(sessions.userId, users.id),
      or(eq(sessions.network, placeholder('network')), eq(sessions.ip, placeholder('ip'))),
    ),
  )
/** Whether the account has signed in before from the network of the parameters `ip` and `network`. */
export const isKnownNetwork = sql<boolean>`${exists(earlierSessionSubquery)}`

const sessionList = defineKeysetList({
  orders: { createdAt: { key: sessions.createdAt, type: 'timestamptz', id: sessions.id } },
  where: () => and(eq(sessions.userId, placeholder('currentUserId')), isLiveSession),
  preparePage: (db, parts) =>
    preparedPageQuery(
      db,
      'sessions',
      parts,
      {
        jsonColumns: { ...sessionColumns, current: sql<boolean>`${sessions.id} = ${placeholder('current')}::uuid` },
        serverColumns: { id: sessions.id },
      },
      (fields) => db.select(fields).from(sessions),
    ),
  prepareCount: (db, where) =>
    db.select({ count: sql<number>`count(*)::int` }).from(sessions).where(where).prepare('sessions_count'),
})

/** The caller's sessions that have not ended. */
export const listSessions = (db: DatabaseOrTransaction, context: RequestContext) =>
  sessionList(db, {}, { currentUserId: context.principal.id, current: context.principal.sessionId })

/** Which of the live sessions: one, those of an account, those of an account beyond so many. */
type SessionSelection = 'one' | 'oneOfAccount' | 'allOfAccount' | 'oldestOfAccount'

const isSessionOfAccount = eq(sessions.userId, placeholder('userId'))
const selectionConditions: Record<SessionSelection, SQL | undefined> = {
  one: eq(sessions.id, placeholder('session')),
  oneOfAccount: and(eq(sessions.id, placeholder('session')), isSessionOfAccount),
  allOfAccount: isSessionOfAccount,
  oldestOfAccount: sql`${sessions.id} in (select ${sessions.id} from ${sessions} where ${and(isSessionOfAccount, isLiveSession)}
    order by ${sessions.createdAt} desc, ${sessions.id} desc offset ${placeholder('keptCount')}::int)`,
}

const endSessionsStatement = preparedStatement(
  (db: DatabaseOrTransaction, { selection }: { selection: SessionSelection }) => {
    // Locked in one order, so that statements that end the same sessions never wait for each other.
    const locked = db
      .$with('locked', {})
      .as(
        sql`select ${sessions.id} from ${sessions} where ${and(selectionConditions[selection], isLiveSession)} order by ${sessions.id} for no key update`,
      )
    const ended = db.$with('sessions', {}).as(sql`update ${sessions} set revoked_at = now()
    from locked, ${users} where ${and(sql`locked.id = ${sessions.id}`, eq(users.id, sessions.userId), isLiveSession)} returning ${sessions}.*, ${users.role}`)
    const auditEntry = auditEntryCte(db, {
      resource: 'auth',
      change: 'changed',
      // One request, one row, however many sessions it ended.
      from: sql`(select * from ${sessions} order by ${sessions.createdAt} limit 1) as ${sessions}`,
      resourceId: selection === 'allOfAccount' ? sql`null::uuid` : sessions.id,
      userId: sessions.userId,
      role: sql`role_name`,
      action: sql`'auth.logout'`,
    })
    return db.with(locked, ended, auditEntry).select({ id: sessions.id }).from(sessions).prepare('sessions_end')
  },
)

/**
 * Ends the live sessions of that id, of that user, or of both, for good, and says which those were. That leaves one row
 * of the trail.
 */
export async function endSessions(
  db: DatabaseOrTransaction,
  client: ClientInfo,
  { session: sessionId, userId }: { session?: string; userId?: string },
): Promise<string[]> {
  if (sessionId === undefined && userId === undefined) return []
  const selection = sessionId === undefined ? 'allOfAccount' : userId === undefined ? 'one' : 'oneOfAccount'
  const ended = await endSessionsStatement(db, { selection }).execute({
    ...auditParamsWithoutActor(client, 204),
    session: sessionId,
    userId,
  })
  return ended.map(({ id }) => id)
}

/**
 * Ends the account's oldest live sessions until `keptCount` are left, and says which those were. A statement of its own, after
 * the one that begins a session, so that the last of many at once sees all of them. Its row of the trail names the oldest.
 */
export async function endOldestSessions(
  db: DatabaseOrTransaction,
  client: ClientInfo,
  userId: string,
  keptCount: number,
): Promise<string[]> {
  const ended = await endSessionsStatement(db, { selection: 'oldestOfAccount' }).execute({
    ...auditParamsWithoutActor(client, 200),
    userId,
    keptCount,
  })
  return ended.map(({ id }) => id)
}
