import { randomBytes } from 'node:crypto'
import { type Context, Hono } from 'hono'
import { can } from '../../access/can.ts'
import { hashToken } from '../../access/tokens.ts'
import type { GuardedEnv } from '../../context.ts'
import { parseIfMatch } from '../../http/etag.ts'
import { IdParam } from '../../http/field-types.ts'
import { respondWithChanged, respondWithRecord } from '../../http/json-response.ts'
import { createdResponse, jsonResponse, pageResponse, recordResponse } from '../../http/operation-description.ts'
import { fetchPage, respondWithPage } from '../../http/paging.ts'
import { Problem } from '../../http/problem.ts'
import { noQuery, valid } from '../../http/validation.ts'
import { withIdempotency } from '../../idempotency/with-idempotency.ts'
import { findPasswordErrors } from './passwords.ts'
import { UserResponse } from './schema.ts'
import { changeUser, createPasswordReset, createUser, getUser, listUsers } from './user-queries.ts'
import { NewUser, ResetToken, UserPatch, UserQuery } from './user-schema.ts'

/** @throws {Problem} 404 where there is no account of the id in the path */
const assertUserInPath = (c: Context<GuardedEnv, '/:id'>) => getUser(c.env.db, c.req.param('id'))

/** `/api/users`: accounts, for administrators. */
export const userRoutes = new Hono()
  .get(
    '/',
    can('users:list', { operationId: 'listUsers', summary: 'List accounts', responds: pageResponse(UserResponse) }),
    valid('query', UserQuery),
    async (c) => {
      const query = c.req.valid('query')
      return respondWithPage(c, await fetchPage(c, query, listUsers(c.env.db, query)), null)
    },
  )
  .post(
    '/',
    can('users:create', {
      operationId: 'createUser',
      summary: 'Make an account',
      responds: createdResponse(UserResponse),
      problems: ['conflict'],
    }),
    valid('json', NewUser),
    async (c) => {
      const { config, passwordHasher } = c.env
      const newUser = c.req.valid('json')
      const { password, ...account } = newUser
      const errors = findPasswordErrors(config, 'password', password, account)
      if (errors.length > 0) throw new Problem('bad-request', { errors })
      // Before the transaction, which would hold its connection all the while.
      const passwordHash = await passwordHasher.hash(password)
      return withIdempotency(c, {
        location: '/api/users',
        requestFingerprint: newUser,
        create: (db) => createUser(db, c.get('requestContext'), { ...account, passwordHash }),
        readPermission: 'users:get',
        assertVisible: (db, _, id) => getUser(db, id),
      })
    },
  )
  .get(
    '/:id',
    can('users:get', { operationId: 'getUser', summary: 'Get an account', responds: recordResponse(UserResponse) }),
    valid('param', IdParam),
    noQuery(assertUserInPath),
    async (c) => {
      const user = await getUser(c.env.db, c.req.valid('param').id)
      return respondWithRecord(c, user, { patientId: null })
    },
  )
  .patch(
    '/:id',
    can('users:update', {
      operationId: 'updateUser',
      summary: 'Change an account',
      description:
        'The last active administrator can be neither demoted nor deactivated; the role of an account linked to a doctor changes only once unlinked.',
      responds: recordResponse(UserResponse),
      problems: ['conflict'],
    }),
    valid('param', IdParam),
    valid('json', UserPatch, { precheck: assertUserInPath }),
    async (c) => {
      const user = await changeUser(
        c.env.db,
        c.get('requestContext'),
        c.req.valid('param').id,
        parseIfMatch(c.req),
        c.req.valid('json'),
      )
      c.env.authenticationCache.forget({ user: user.id })
      return respondWithChanged(c, user)
    },
  )
  .post(
    '/:id/reset-token',
    can('users:reset', {
      operationId: 'createResetToken',
      summary: 'Make a token that resets an account’s password',
      description:
        'Good once, for an hour; handed over by the administrator. An earlier one is void, and any change of the password or a deactivation voids it too.',
      responds: jsonResponse(ResetToken, 201),
    }),
    valid('param', IdParam),
    noQuery(assertUserInPath),
    async (c) => {
      const token = randomBytes(32).toString('base64url')
      const { expiresAt } = await createPasswordReset(
        c.env.db,
        c.get('requestContext'),
        c.req.valid('param').id,
        hashToken(token),
      )
      return c.json({ token, expiresAt }, 201)
    },
  )
