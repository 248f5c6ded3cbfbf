import { Hono } from 'hono'
import { anyone, sender } from '../access/can.ts'
import type { App, Asked } from '../env.ts'
import { nothing, plain } from '../http/about.ts'
import { Problem } from '../http/problem.ts'
import { valid } from '../http/valid.ts'
import { bearer, unauthorized } from './authenticate.ts'
import { decoy, outdated, passwordFaults } from './passwords.ts'
import { findCredentials, register, rehash, rotate, signIn } from './queries.ts'
import { Login, Logout, Refresh, Register, SignedIn, Tokens } from './schema.ts'
import { endOldestSessions, endSessions } from './session-queries.ts'
import {
  assertOpen,
  countAttempt,
  refuseUntilOpen,
  registrationBuckets,
  signInBuckets,
  tokenBuckets,
} from './throttle.ts'
import { generationOf, type SessionRow, tokenPair, verifyToken } from './tokens.ts'

const pairFor = (c: Asked, session: SessionRow) => tokenPair(c.env.config, c.env.keys, session)

/** A refusal that says nothing of whether there is such an account, and its row of the trail. */
const refused = (c: Asked, userId: string | null) => {
  c.env.metrics.loginFailed()
  c.env.audit.add({ ...sender(c), userId, role: null, action: 'auth.login_failed', resource: 'auth', status: 401 })
  return unauthorized('The e-mail address or the password is not right.')
}

/** Ends the account's oldest sessions where a sign-in has made them more than it may have. */
async function endOldest(c: Asked, userId: string): Promise<void> {
  const { config, db, sessions } = c.env
  if (config.SESSIONS_PER_ACCOUNT === 0) return
  const ended = await endOldestSessions(db, sender(c), userId, config.SESSIONS_PER_ACCOUNT)
  for (const session of ended) sessions.forget({ session })
}

/** Getting, renewing and giving back tokens. */
export const authRoutes = new Hono<App>()
  .post(
    '/register',
    anyone({
      id: 'register',
      summary: 'Register and sign in',
      description:
        'The account is of role patient. Where the server is set so, as it is outside production, the first one on an empty database is the administrator.',
      answers: plain(SignedIn, 201),
      problems: ['forbidden', 'conflict', 'too-many-requests'],
    }),
    valid('json', Register),
    async (c) => {
      const { config, db, passwords } = c.env
      if (config.REGISTRATION === 'closed') throw new Problem('forbidden', { detail: 'Registration is closed.' })
      const { password, ...account } = c.req.valid('json')
      const errors = passwordFaults(config, 'password', password, account)
      if (errors.length > 0) throw new Problem('bad-request', { errors })
      await countAttempt(db, registrationBuckets(config, c.env.address))
      const passwordHash = await passwords.hash(password)
      const { user, session } = await register(db, config, sender(c), { ...account, passwordHash })
      return c.json({ user, ...(await pairFor(c, session)) }, 201)
    },
  )
  .post(
    '/login',
    anyone({
      id: 'login',
      summary: 'Sign in',
      answers: plain(SignedIn),
      limits: ['SESSIONS_PER_ACCOUNT'],
      problems: ['unauthorized', 'too-many-requests'],
    }),
    valid('json', Login),
    async (c) => {
      const { config, db, passwords } = c.env
      const { email, password } = c.req.valid('json')
      const { account, buckets, seconds } = await findCredentials(db, config, email, c.env.address)
      refuseUntilOpen(seconds)
      // An unknown account costs as much time as a known one.
      const right = await passwords.verify(account?.passwordHash ?? decoy, password, () => assertOpen(db, buckets))
      const signedIn = account?.active && right && (await signIn(db, config, sender(c), account, buckets))
      if (!signedIn) {
        // Only failures are counted: what is right is never refused for being many.
        await countAttempt(db, buckets)
        throw refused(c, account?.id ?? null)
      }
      if (outdated(account.passwordHash))
        await rehash(db, account.id, account.passwordHash, await passwords.hash(password))
      const [pair] = await Promise.all([pairFor(c, signedIn.session), endOldest(c, account.id)])
      return c.json({ user: signedIn.user, ...pair }, 200)
    },
  )
  .post(
    '/refresh',
    anyone({
      id: 'refresh',
      summary: 'Renew the tokens',
      description:
        'Each refresh token is good once. Used again within 10 seconds it gives the same successor; later it ends the session.',
      answers: plain(Tokens),
      problems: ['unauthorized', 'too-many-requests'],
    }),
    valid('json', Refresh),
    async (c) => {
      const { config, db, keys, sessions } = c.env
      const claims = await verifyToken(config, keys, c.req.valid('json').refresh, 'refresh')
      const session =
        claims &&
        (await rotate(db, sender(c), { id: claims.sid, userId: claims.sub, generation: generationOf(claims) }))
      if (session && !session.revokedAt) return c.json(await pairFor(c, session), 200)
      if (session) sessions.forget({ session: session.id })
      // Only failures are counted: what a good token may do, a bad one cannot use up.
      await countAttempt(
        db,
        claims ? signInBuckets(config, claims.sub, c.env.address, 'elsewhere') : tokenBuckets(config, c.env.address),
      )
      throw unauthorized('The refresh token is not valid, or its session has ended.')
    },
  )
  .post(
    '/logout',
    anyone({
      id: 'logout',
      summary: 'End the session',
      description: 'That of the refresh token, of the access token, or of both.',
      answers: nothing,
    }),
    valid('json', Logout, { optional: true }),
    async (c) => {
      const { config, db, keys, sessions } = c.env
      const { refresh } = c.req.valid('json')
      const token = bearer(c)
      const claims = await Promise.all([
        refresh && verifyToken(config, keys, refresh, 'refresh'),
        token && sessions.claims(c, token),
      ])
      for (const session of new Set(claims.flatMap((claim) => (claim ? [claim.sid] : [])))) {
        await endSessions(db, sender(c), { session })
        sessions.forget({ session })
      }
      return c.body(null, 204)
    },
  )
