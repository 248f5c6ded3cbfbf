import { and, eq, gt, isNull, sql } from 'drizzle-orm'
import { LRUCache } from 'lru-cache'
import { countRequest } from '../access/limits.ts'
import type { Role } from '../access/permissions.ts'
import type { Db } from '../db/client.ts'
import { prepared } from '../db/prepared.ts'
import type { Asked } from '../env.ts'
import { networkOf } from '../http/network.ts'
import { Problem } from '../http/problem.ts'
import { sessions, users } from './schema.ts'
import { type Claims, verifyToken } from './tokens.ts'

export type Account = { id: string; role: Role; session: string }

const liveSession = prepared((db: Db) =>
  db
    .select({ id: users.id, role: users.role, session: sessions.id })
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
const trusted = 4000

/**
 * What a process remembers of tokens and sessions, bounded, so that a request costs neither a signature check nor a
 * query. Whoever ends or changes a session tells {@link Sessions.forget}, and it holds at once in this process.
 */
export class Sessions {
  readonly #claims = new LRUCache<string, Claims>({ max: 10_000 })
  readonly #accounts = new LRUCache<string, { account: Account; until: number }>({ max: 10_000 })
  #changes = 0

  /** The claims of a good access token. */
  async claims(c: Asked, token: string): Promise<Claims | undefined> {
    const known = this.#claims.get(token)
    if (known) return known.exp * 1000 > Date.now() ? known : undefined
    const claims = await verifyToken(c.env.config, c.env.keys, token, 'access')
    if (claims) this.#claims.set(token, claims)
    return claims
  }

  /** The account behind a session that has not ended; `asks` the database also where it was asked a moment ago. */
  async account(db: Db, session: string, asks = false): Promise<Account | undefined> {
    const known = this.#accounts.get(session)
    if (!asks && known && known.until > Date.now()) return known.account
    const changes = this.#changes
    const [account] = await liveSession(db, {}).execute({ sid: session })
    // What was read before something changed may be stale already.
    if (account && changes === this.#changes) this.#accounts.set(session, { account, until: Date.now() + trusted })
    return account
  }

  /** Forgets a session, or all sessions of a user: the next request asks the database. */
  forget(who: { session: string } | { user: string }): void {
    this.#changes += 1
    if ('session' in who) this.#accounts.delete(who.session)
    else
      for (const [session, { account }] of this.#accounts.entries())
        if (account.id === who.user) this.#accounts.delete(session)
  }
}

export const sessionEnded = 'The access token is not valid, or its session has ended.'

export const unauthorized = (detail?: string) =>
  new Problem('unauthorized', { ...(detail && { detail }), headers: { 'WWW-Authenticate': 'Bearer' } })

/** The token of an `Authorization: Bearer` header (RFC 6750, section 2.1). */
export const bearer = (c: Asked) => /^bearer +(\S+) *$/i.exec(c.req.header('Authorization') ?? '')?.[1]

/**
 * The account that the request's access token stands for; `asksSession` as in the table of permissions.
 * @throws {Problem} 401 where there is none, or its session has ended; 429 where the account or the address sends too many
 */
export async function authenticate(c: Asked, asksSession = false): Promise<Account> {
  const token = bearer(c)
  const claims = token && (await c.env.sessions.claims(c, token))
  const account = claims && (await c.env.sessions.account(c.env.db, claims.sid, asksSession))
  if (!account || account.id !== claims.sub) {
    await countRequest(c, 'REQUESTS_PER_ADDRESS_MIN', networkOf(c.env.address))
    throw unauthorized(token ? sessionEnded : 'Send an access token: Authorization: Bearer and the token.')
  }
  const counted = countRequest(c, 'REQUESTS_PER_ACCOUNT_MIN', account.id)
  if (counted) await counted
  return account
}
