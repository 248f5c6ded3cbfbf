import { and, eq, gt, isNull, sql } from 'drizzle-orm'
import type { DatabaseOrTransaction, RequestContext } from '../context.ts'
import { sessions } from '../features/auth/schema.ts'
import { sessionEndedMessage, unauthorizedProblem } from './authenticate.ts'

const { placeholder } = sql

/** That a session has neither ended nor expired. */
export const isLiveSession = and(isNull(sessions.revokedAt), gt(sessions.expiresAt, sql`now()`))

/**
 * The session of the parameter `sessionId`, as a common table expression, where it has not ended. What outlasts a session
 * is made only with a row in it, also by a process that has not heard of the end yet. It stays locked until that is
 * committed, so that whoever ends the session sees what it has made.
 */
export const lockedSessionCte = (db: DatabaseOrTransaction) =>
  db
    .$with('session', {})
    .as(
      sql`select ${sessions.id} from ${sessions} where ${and(eq(sessions.id, placeholder('session')), isLiveSession)} for share`,
    )

/** @throws {Problem} 401 where the caller's session has ended */
export async function assertLiveSession(db: DatabaseOrTransaction, context: RequestContext): Promise<void> {
  const isCallersLiveSession = and(eq(sessions.id, context.principal.sessionId), isLiveSession)
  const [session] = await db.select({ id: sessions.id }).from(sessions).where(isCallersLiveSession)
  if (!session) throw unauthorizedProblem(sessionEndedMessage)
}
