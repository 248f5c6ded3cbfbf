import { randomBytes } from 'node:crypto'
import { type Context, Hono } from 'hono'
import { can, type Guarded } from '../access/can.ts'
import { passwordFaults } from '../auth/passwords.ts'
import { User } from '../auth/schema.ts'
import { hashOf } from '../auth/tokens.ts'
import { created, one, page, plain } from '../http/about.ts'
import { answerChanged, answerOne } from '../http/etag.ts'
import { ById } from '../http/fields.ts'
import { answerPage, readPage } from '../http/page.ts'
import { Problem } from '../http/problem.ts'
import { noQuery, valid } from '../http/valid.ts'
import { once } from '../idempotency/once.ts'
import { changeUser, createUser, getUser, listUsers, openReset } from './queries.ts'
import { NewUser, ResetToken, UserPatch, UserQuery } from './schema.ts'

/** @throws {Problem} 404 where there is no account of the id in the path */
const exists = (c: Context<Guarded, '/:id'>) => getUser(c.env.db, c.req.param('id'))

export const userRoutes = new Hono()
  .get(
    '/',
    can('users:list', { id: 'listUsers', summary: 'List accounts', answers: page(User) }),
    valid('query', UserQuery),
    async (c) => {
      const query = c.req.valid('query')
      return answerPage(c, await readPage(c, query, listUsers(c.env.db, query)))
    },
  )
  .post(
    '/',
    can('users:create', {
      id: 'createUser',
      summary: 'Make an account',
      answers: created(User),
      problems: ['conflict'],
    }),
    valid('json', NewUser),
    async (c) => {
      const { config, passwords } = c.env
      const request = c.req.valid('json')
      const { password, ...account } = request
      const errors = passwordFaults(config, 'password', password, account)
      if (errors.length > 0) throw new Problem('bad-request', { errors })
      // Before the transaction, which would hold its connection all the while.
      const passwordHash = await passwords.hash(password)
      return once(c, {
        at: '/api/users',
        request,
        create: (db) => createUser(db, c.get('caller'), { ...account, passwordHash }),
        read: 'users:get',
        see: (db, _, id) => getUser(db, id),
      })
    },
  )
  .get(
    '/:id',
    can('users:get', { id: 'getUser', summary: 'Get an account', answers: one(User) }),
    valid('param', ById),
    noQuery(exists),
    async (c) => {
      const user = await getUser(c.env.db, c.req.valid('param').id)
      c.set('subject', { resourceId: user.id })
      return answerOne(c, user)
    },
  )
  .patch(
    '/:id',
    can('users:update', {
      id: 'updateUser',
      summary: 'Change an account',
      description:
        'The last active administrator can be neither demoted nor deactivated; the role of an account linked to a doctor changes only once unlinked.',
      answers: one(User),
      problems: ['conflict'],
    }),
    valid('param', ById),
    valid('json', UserPatch, { first: exists }),
    async (c) => {
      const user = await changeUser(c.env.db, c.get('caller'), c.req.valid('param').id, c.req.valid('json'))
      c.env.sessions.forget({ user: user.id })
      return answerChanged(c, user)
    },
  )
  .post(
    '/:id/reset-token',
    can('users:reset', {
      id: 'createResetToken',
      summary: 'Make a token that resets an account’s password',
      description:
        'Good once, for an hour; handed over by the administrator. An earlier one is void, and any change of the password or a deactivation voids it too.',
      answers: plain(ResetToken, 201),
    }),
    valid('param', ById),
    noQuery(exists),
    async (c) => {
      const token = randomBytes(32).toString('base64url')
      const { expiresAt } = await openReset(c.env.db, c.get('caller'), c.req.valid('param').id, hashOf(token))
      return c.json({ token, expiresAt }, 201)
    },
  )
