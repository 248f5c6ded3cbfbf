import { type Context, Hono } from 'hono'
import { unauthorizedProblem } from '../../access/authenticate.ts'
import { allowAnyone, can, getClientInfo } from '../../access/can.ts'
import { hashToken } from '../../access/tokens.ts'
import type { BaseContext, GuardedEnv, RequestContext } from '../../context.ts'
import { parseIfMatch } from '../../http/etag.ts'
import { IdParam } from '../../http/field-types.ts'
import { respondWithChanged, respondWithRecord } from '../../http/json-response.ts'
import { newestFirstQuery } from '../../http/list-query.ts'
import { noContent, pageResponse, recordResponse } from '../../http/operation-description.ts'
import { fetchPage, respondWithPage } from '../../http/paging.ts'
import { invalidFieldProblem, Problem } from '../../http/problem.ts'
import { noQuery, valid } from '../../http/validation.ts'
import {
  changeOwnAccount,
  changePassword,
  findIdentity,
  findOwnAccount,
  findPasswordReset,
  resetPassword,
} from './account-queries.ts'
import { findPasswordErrors } from './passwords.ts'
import {
  AccountPatch,
  OwnAccountResponse,
  PasswordChangeRequest,
  PasswordResetRequest,
  SessionResponse,
} from './schema.ts'
import { endSessions, listSessions } from './session-queries.ts'
import {
  assertBucketsOpen,
  countAttempt,
  registrationBuckets,
  resetFailures,
  signInBuckets,
  tokenBuckets,
} from './throttle.ts'

/** The refusal of a password or token that is not right, and its row of the trail: somebody may be guessing. */
function refusedSecretProblem(
  c: BaseContext,
  path: 'currentPassword' | 'token',
  message: string,
  context?: RequestContext,
): Problem {
  c.env.metrics.countFailedLogin()
  c.env.auditWriter.enqueue({
    ...{ ...getClientInfo(c), userId: context?.principal.id ?? null, role: context?.principal.role ?? null },
    ...{ action: 'auth.login_failed', resource: 'auth', status: 400 },
  })
  return invalidFieldProblem(path, message, path === 'token' ? 'invalid' : 'wrong')
}
const wrongPasswordProblem = (c: Context<GuardedEnv>) =>
  refusedSecretProblem(c, 'currentPassword', 'is not your password', c.get('requestContext'))
const wrongResetTokenProblem = (c: BaseContext) => refusedSecretProblem(c, 'token', 'is not valid, or no longer')

/**
 * The caller's identity once `password` has proved to be theirs, throttled like a sign-in.
 * @throws {Problem} 400 on `currentPassword`, 429
 */
async function verifyOwnPassword(c: Context<GuardedEnv>, password: string) {
  const { config, db, passwordHasher, clientAddress } = c.env
  const identity = await findIdentity(db, c.get('requestContext').principal.id, clientAddress)
  if (!identity) throw unauthorizedProblem()
  const buckets = signInBuckets(
    config,
    identity.email,
    clientAddress,
    identity.isKnownNetwork ? 'known' : 'signedInElsewhere',
  )
  await assertBucketsOpen(db, buckets)
  if (!(await passwordHasher.verify(identity.passwordHash, password, () => assertBucketsOpen(db, buckets)))) {
    await countAttempt(db, buckets)
    throw wrongPasswordProblem(c)
  }
  await resetFailures(db, buckets)
  return identity
}

/** What someone who is signed in does with their own account. */
export const accountRoutes = new Hono()
  .get(
    '/me',
    can('account:get', {
      operationId: 'getMe',
      summary: 'Get one’s own account',
      responds: recordResponse(OwnAccountResponse),
    }),
    noQuery(),
    async (c) => {
      const user = await findOwnAccount(c.env.db, c.get('requestContext').principal.id)
      if (!user) throw unauthorizedProblem()
      return respondWithRecord(c, user, { patientId: null })
    },
  )
  .patch(
    '/me',
    can('account:update', {
      operationId: 'updateMe',
      summary: 'Change one’s own name or address',
      description: 'A new address needs `currentPassword`, and is asked for no more often than a registration.',
      responds: recordResponse(OwnAccountResponse),
      problems: ['conflict', 'too-many-requests'],
    }),
    valid('json', AccountPatch),
    async (c) => {
      const { currentPassword, ...values } = c.req.valid('json')
      let provedHash: string | undefined
      if (
        values.email !== undefined &&
        values.email !== (await findOwnAccount(c.env.db, c.get('requestContext').principal.id))?.email
      ) {
        if (currentPassword === undefined)
          throw invalidFieldProblem('currentPassword', 'is needed to change the e-mail address', 'required')
        provedHash = (await verifyOwnPassword(c, currentPassword)).passwordHash
        // Which addresses are taken is told as slowly as to who registers.
        await countAttempt(c.env.db, registrationBuckets(c.env.config, c.env.clientAddress))
      }
      const user = await changeOwnAccount(c.env.db, c.get('requestContext'), parseIfMatch(c.req), values, provedHash)
      if (user === 'passwordChanged') throw wrongPasswordProblem(c)
      if (!user) throw new Problem('precondition-failed')
      return respondWithChanged(c, user)
    },
  )
  .post(
    '/password',
    can('account:password', {
      operationId: 'changePassword',
      summary: 'Change one’s own password',
      description:
        'Every other session ends, and so do the calendar feeds that the account has made and a reset token of its.',
      responds: noContent,
      problems: ['too-many-requests'],
    }),
    valid('json', PasswordChangeRequest),
    async (c) => {
      const { config, db, passwordHasher, authenticationCache } = c.env
      const { currentPassword, newPassword } = c.req.valid('json')
      const identity = await verifyOwnPassword(c, currentPassword)
      const errors = findPasswordErrors(config, 'newPassword', newPassword, identity)
      if (errors.length > 0) throw new Problem('bad-request', { errors })
      const changed = await changePassword(
        db,
        c.get('requestContext'),
        identity.passwordHash,
        await passwordHasher.hash(newPassword),
      )
      if (!changed) throw wrongPasswordProblem(c)
      authenticationCache.forget({ user: c.get('requestContext').principal.id })
      return c.body(null, 204)
    },
  )
  .post(
    '/reset',
    allowAnyone({
      operationId: 'resetPassword',
      summary: 'Set a password with a reset token',
      description:
        'Every session ends, and so do the calendar feeds that the account has made. A refused password does not use the token up.',
      responds: noContent,
      problems: ['too-many-requests'],
    }),
    valid('json', PasswordResetRequest),
    async (c) => {
      const { config, db, passwordHasher, authenticationCache, clientAddress } = c.env
      const { token, newPassword } = c.req.valid('json')
      const buckets = tokenBuckets(config, clientAddress)
      await assertBucketsOpen(db, buckets)
      const tokenHash = hashToken(token)
      const account = await findPasswordReset(db, tokenHash)
      if (!account) {
        await countAttempt(db, buckets)
        throw wrongResetTokenProblem(c)
      }
      const errors = findPasswordErrors(config, 'newPassword', newPassword, account)
      if (errors.length > 0) throw new Problem('bad-request', { errors })
      const user = await resetPassword(db, getClientInfo(c), tokenHash, await passwordHasher.hash(newPassword))
      if (!user) throw wrongResetTokenProblem(c)
      authenticationCache.forget({ user })
      return c.body(null, 204)
    },
  )
  .get(
    '/sessions',
    can('sessions:list', {
      operationId: 'listSessions',
      summary: 'List one’s own sessions',
      responds: pageResponse(SessionResponse),
    }),
    valid('query', newestFirstQuery({})),
    async (c) =>
      respondWithPage(
        c,
        await fetchPage(c, c.req.valid('query'), listSessions(c.env.db, c.get('requestContext'))),
        null,
      ),
  )
  .delete(
    '/sessions/:id',
    can('sessions:end', { operationId: 'endSession', summary: 'End one of one’s own sessions', responds: noContent }),
    valid('param', IdParam),
    noQuery(),
    async (c) => {
      const session = c.req.valid('param').id
      const ended = await endSessions(c.env.db, getClientInfo(c), {
        session,
        userId: c.get('requestContext').principal.id,
      })
      if (ended.length === 0) throw new Problem('not-found')
      c.env.authenticationCache.forget({ session })
      return c.body(null, 204)
    },
  )
  .post(
    '/logout-all',
    can('sessions:end', { operationId: 'logoutAll', summary: 'End all of one’s own sessions', responds: noContent }),
    noQuery(),
    async (c) => {
      const user = c.get('requestContext').principal.id
      await endSessions(c.env.db, getClientInfo(c), { userId: user })
      c.env.authenticationCache.forget({ user })
      return c.body(null, 204)
    },
  )
