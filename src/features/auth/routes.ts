import { Hono } from 'hono'
import { getBearerToken, unauthorizedProblem } from '../../access/authenticate.ts'
import { allowAnyone, getClientInfo } from '../../access/can.ts'
import { createTokenPair, getGeneration, type TokenSession, verifyToken } from '../../access/tokens.ts'
import type { AppEnv, BaseContext } from '../../context.ts'
import { jsonResponse, noContent } from '../../http/operation-description.ts'
import { Problem } from '../../http/problem.ts'
import { valid } from '../../http/validation.ts'
import { dummyHash, findPasswordErrors, needsRehash } from './passwords.ts'
import { findCredentials, registerAccount, rotateRefreshToken, signIn, updatePasswordHash } from './queries.ts'
import {
  LoginRequest,
  LogoutRequest,
  RefreshRequest,
  RegisterRequest,
  SignedInResponse,
  TokensResponse,
} from './schema.ts'
import { endOldestSessions, endSessions } from './session-queries.ts'
import {
  assertBucketsOpen,
  assertNoWait,
  countAttempt,
  registrationBuckets,
  signInBuckets,
  tokenBuckets,
} from './throttle.ts'

const issueTokens = (c: BaseContext, session: TokenSession) => createTokenPair(c.env.config, c.env.hmacKeys, session)

/** A refusal that says nothing of whether there is such an account, and its row of the trail. */
const recordFailedLogin = (c: BaseContext, userId: string | null) => {
  c.env.metrics.countFailedLogin()
  c.env.auditWriter.enqueue({
    ...getClientInfo(c),
    userId,
    role: null,
    action: 'auth.login_failed',
    resource: 'auth',
    status: 401,
  })
  return unauthorizedProblem('The e-mail address or the password is not right.')
}

/** Ends the account's oldest sessions where a sign-in has made them more than it may have. */
async function endExcessSessions(c: BaseContext, userId: string): Promise<void> {
  const { config, db, authenticationCache } = c.env
  if (config.SESSIONS_PER_ACCOUNT === 0) return
  const ended = await endOldestSessions(db, getClientInfo(c), userId, config.SESSIONS_PER_ACCOUNT)
  for (const session of ended) authenticationCache.forget({ session })
}

/** Getting, renewing and giving back tokens. */
export const authRoutes = new Hono<AppEnv>()
  .post(
    '/register',
    allowAnyone({
      operationId: 'register',
      summary: 'Register and sign in',
      description:
        'The account is of role patient. Where the server is set so, as it is outside production, the first one on an empty database is the administrator.',
      responds: jsonResponse(SignedInResponse, 201),
      problems: ['forbidden', 'conflict', 'too-many-requests'],
    }),
    valid('json', RegisterRequest),
    async (c) => {
      const { config, db, passwordHasher } = c.env
      if (config.REGISTRATION === 'closed') throw new Problem('forbidden', { detail: 'Registration is closed.' })
      const { password, ...account } = c.req.valid('json')
      const errors = findPasswordErrors(config, 'password', password, account)
      if (errors.length > 0) throw new Problem('bad-request', { errors })
      await countAttempt(db, registrationBuckets(config, c.env.clientAddress))
      const passwordHash = await passwordHasher.hash(password)
      const { user, session } = await registerAccount(db, config, getClientInfo(c), { ...account, passwordHash })
      return c.json({ user, ...(await issueTokens(c, session)) }, 201)
    },
  )
  .post(
    '/login',
    allowAnyone({
      operationId: 'login',
      summary: 'Sign in',
      responds: jsonResponse(SignedInResponse),
      limits: ['SESSIONS_PER_ACCOUNT'],
      problems: ['unauthorized', 'too-many-requests'],
    }),
    valid('json', LoginRequest),
    async (c) => {
      const { config, db, passwordHasher } = c.env
      const { email, password } = c.req.valid('json')
      const { account, buckets, waitSeconds } = await findCredentials(db, config, email, c.env.clientAddress)
      assertNoWait(waitSeconds)
      // An unknown account costs as much time as a known one.
      const isPasswordRight = await passwordHasher.verify(account?.passwordHash ?? dummyHash, password, () =>
        assertBucketsOpen(db, buckets),
      )
      const signedIn =
        account?.active && isPasswordRight && (await signIn(db, config, getClientInfo(c), account, buckets))
      if (!signedIn) {
        // Only failures are counted: what is right is never refused for being many.
        await countAttempt(db, buckets)
        throw recordFailedLogin(c, account?.id ?? null)
      }
      if (needsRehash(account.passwordHash))
        await updatePasswordHash(db, account.id, account.passwordHash, await passwordHasher.hash(password))
      const [pair] = await Promise.all([issueTokens(c, signedIn.session), endExcessSessions(c, account.id)])
      return c.json({ user: signedIn.user, ...pair }, 200)
    },
  )
  .post(
    '/refresh',
    allowAnyone({
      operationId: 'refresh',
      summary: 'Renew the tokens',
      description:
        'Each refresh token is good once. Used again within 10 seconds it gives the same successor; later it ends the session.',
      responds: jsonResponse(TokensResponse),
      problems: ['unauthorized', 'too-many-requests'],
    }),
    valid('json', RefreshRequest),
    async (c) => {
      const { config, db, hmacKeys, authenticationCache } = c.env
      const claims = await verifyToken(config, hmacKeys, c.req.valid('json').refresh, 'refresh')
      const refresh = claims
        ? await rotateRefreshToken(db, getClientInfo(c), {
            id: claims.sid,
            userId: claims.sub,
            generation: getGeneration(claims),
          })
        : ({ outcome: 'unknown' } as const)
      if (refresh.outcome === 'rotated') return c.json(await issueTokens(c, refresh.session), 200)
      if (claims && refresh.outcome === 'reused') authenticationCache.forget({ session: claims.sid })
      // Only failures are counted: what a good token may do, a bad one cannot use up.
      await countAttempt(
        db,
        claims
          ? signInBuckets(config, claims.sub, c.env.clientAddress, 'elsewhere')
          : tokenBuckets(config, c.env.clientAddress),
      )
      throw unauthorizedProblem('The refresh token is not valid, or its session has ended.')
    },
  )
  .post(
    '/logout',
    allowAnyone({
      operationId: 'logout',
      summary: 'End the session',
      description: 'That of the refresh token, of the access token, or of both.',
      responds: noContent,
    }),
    valid('json', LogoutRequest, { isOptional: true }),
    async (c) => {
      const { config, db, hmacKeys, authenticationCache } = c.env
      const { refresh } = c.req.valid('json')
      const token = getBearerToken(c)
      const claims = await Promise.all([
        refresh && verifyToken(config, hmacKeys, refresh, 'refresh'),
        token && authenticationCache.getClaims(c, token),
      ])
      for (const session of new Set(claims.flatMap((claim) => (claim ? [claim.sid] : [])))) {
        await endSessions(db, getClientInfo(c), { session })
        authenticationCache.forget({ session })
      }
      return c.body(null, 204)
    },
  )
