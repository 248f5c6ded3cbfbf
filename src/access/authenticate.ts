import { and, eq, gt, isNull, sql } from 'drizzle-orm'
import { LRUCache } from 'lru-cache'
import type {
  AuthenticationCache,
  BaseContext,
  Database,
  DatabaseOrTransaction,
  Principal,
  TokenClaims,
} from '../context.ts'
import { preparedStatement } from '../database/query/prepared-statement.ts'
import { sessions, users } from '../features/auth/schema.ts'
import { toClientNetwork } from '../http/client-network.ts'
import { Problem } from '../http/problem.ts'
import { countRequest } from './rate-limits.ts'
import { verifyToken } from './tokens.ts'

const principalStatement = preparedStatement((db: DatabaseOrTransaction) =>
  db
    .select({ id: users.id, role: users.role, sessionId: sessions.id })
    .from(sessions)
    .innerJoin(users, eq(users.id, sessions.userId))
    .where(
      and(
        eq(sessions.id, sql.placeholder('sid')),
        isNull(sessions.revokedAt),
        gt(sessions.expiresAt, sql`now()`),
        eq(users.active, true),
      ),
    )
    .prepare('live_session'),
)

/** For how long a session is trusted without asking the database again, in ms. A logout elsewhere counts within 5 s. */
const sessionCacheMs = 4000

/**
 * What a process remembers of tokens and sessions, bounded, so that a request costs neither a signature check nor a
 * query. Whoever ends or changes a session tells {@link AuthenticationCache.forget}, and it holds at once in this process.
 */
export class MemoryAuthenticationCache implements AuthenticationCache {
  readonly #claims = new LRUCache<string, TokenClaims>({ max: 10_000 })
  readonly #principals = new LRUCache<string, { principal: Principal; expiresAtMs: number }>({ max: 10_000 })
  #changeCount = 0

  /** The claims of a good access token. */
  async getClaims(c: BaseContext, token: string): Promise<TokenClaims | undefined> {
    const known = this.#claims.get(token)
    if (known) return known.exp * 1000 > Date.now() ? known : undefined
    const claims = await verifyToken(c.env.config, c.env.hmacKeys, token, 'access')
    if (claims) this.#claims.set(token, claims)
    return claims
  }

  /** The account behind a session that has not ended; `asksDatabase` also where it was asked a moment ago. */
  async getPrincipal(db: Database, sessionId: string, asksDatabase = false): Promise<Principal | undefined> {
    const known = this.#principals.get(sessionId)
    if (!asksDatabase && known && known.expiresAtMs > Date.now()) return known.principal
    const changeCount = this.#changeCount
    const [principal] = await principalStatement(db, {}).execute({ sid: sessionId })
    // What was read before something changed may be stale already.
    if (principal && changeCount === this.#changeCount)
      this.#principals.set(sessionId, { principal, expiresAtMs: Date.now() + sessionCacheMs })
    return principal
  }

  /** Forgets a session, or all sessions of a user: the next request asks the database. */
  forget(target: { session: string } | { user: string }): void {
    this.#changeCount += 1
    if ('session' in target) this.#principals.delete(target.session)
    else
      for (const [session, { principal }] of this.#principals.entries())
        if (principal.id === target.user) this.#principals.delete(session)
  }
}

/** The detail of a 401 to a token that was sent. */
export const sessionEndedMessage = 'The access token is not valid, or its session has ended.'

/** A 401 with the challenge `Bearer` (RFC 6750, section 3). */
export const unauthorizedProblem = (detail?: string) =>
  new Problem('unauthorized', { ...(detail && { detail }), headers: { 'WWW-Authenticate': 'Bearer' } })

/** The token of an `Authorization: Bearer` header (RFC 6750, section 2.1). */
export const getBearerToken = (c: BaseContext) => /^bearer +(\S+) *$/i.exec(c.req.header('Authorization') ?? '')?.[1]

/**
 * The account that the request's access token stands for; `asksSession` as in the table of permissions.
 * @throws {Problem} 401 where there is none, or its session has ended; 429 where the account or the address sends too many
 */
export async function authenticateRequest(c: BaseContext, asksSession = false): Promise<Principal> {
  const token = getBearerToken(c)
  const claims = token && (await c.env.authenticationCache.getClaims(c, token))
  const principal = claims && (await c.env.authenticationCache.getPrincipal(c.env.db, claims.sid, asksSession))
  if (!principal || principal.id !== claims.sub) {
    await countRequest(c, 'REQUESTS_PER_ADDRESS_MIN', toClientNetwork(c.env.clientAddress))
    throw unauthorizedProblem(
      token ? sessionEndedMessage : 'Send an access token: Authorization: Bearer and the token.',
    )
  }
  const counted = countRequest(c, 'REQUESTS_PER_ACCOUNT_MIN', principal.id)
  if (counted) await counted
  return principal
}
