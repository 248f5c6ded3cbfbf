import { type Context, Hono } from 'hono'
import { anyone, type Caller, can, type Guarded, sender } from '../access/can.ts'
import type { Asked } from '../env.ts'
import { nothing, one, page } from '../http/about.ts'
import { answerChanged, answerOne } from '../http/etag.ts'
import { ById } from '../http/fields.ts'
import { answerPage, plainQuery, readPage } from '../http/page.ts'
import { invalid, Problem } from '../http/problem.ts'
import { noQuery, valid } from '../http/valid.ts'
import { changeOwn, changePassword, findIdentity, findOwnAccount, findReset, resetPassword } from './account-queries.ts'
import { unauthorized } from './authenticate.ts'
import { passwordFaults } from './passwords.ts'
import { AccountPatch, NewPassword, OwnAccount, Reset, Session } from './schema.ts'
import { endSessions, listSessions } from './session-queries.ts'
import { assertOpen, countAttempt, emptyAccount, registrationBuckets, signInBuckets, tokenBuckets } from './throttle.ts'
import { hashOf } from './tokens.ts'

/** The refusal of a password or token that is not right, and its row of the trail: somebody may be guessing. */
function refused(c: Asked, path: 'currentPassword' | 'token', message: string, caller?: Caller): Problem {
  c.env.metrics.loginFailed()
  c.env.audit.add({
    ...{ ...sender(c), userId: caller?.id ?? null, role: caller?.role ?? null },
    ...{ action: 'auth.login_failed', resource: 'auth', status: 400 },
  })
  return invalid(path, message, path === 'token' ? 'invalid' : 'wrong')
}
const wrongPassword = (c: Context<Guarded>) => refused(c, 'currentPassword', 'is not your password', c.get('caller'))
const wrongToken = (c: Asked) => refused(c, 'token', 'is not valid, or no longer')

/**
 * The caller's identity once `password` has proved to be theirs, throttled like a sign-in.
 * @throws {Problem} 400 on `currentPassword`, 429
 */
async function prove(c: Context<Guarded>, password: string) {
  const { config, db, passwords, address } = c.env
  const identity = await findIdentity(db, c.get('caller').id, address)
  if (!identity) throw unauthorized()
  const buckets = signInBuckets(config, identity.email, address, identity.known ? 'known' : 'signedInElsewhere')
  await assertOpen(db, buckets)
  if (!(await passwords.verify(identity.passwordHash, password, () => assertOpen(db, buckets)))) {
    await countAttempt(db, buckets)
    throw wrongPassword(c)
  }
  await emptyAccount(db, buckets)
  return identity
}

/** What someone who is signed in does with their own account. */
export const accountRoutes = new Hono()
  .get(
    '/me',
    can('account:get', { id: 'getMe', summary: 'Get one’s own account', answers: one(OwnAccount) }),
    noQuery(),
    async (c) => {
      const user = await findOwnAccount(c.env.db, c.get('caller').id)
      if (!user) throw unauthorized()
      return answerOne(c, user)
    },
  )
  .patch(
    '/me',
    can('account:update', {
      id: 'updateMe',
      summary: 'Change one’s own name or address',
      description: 'A new address needs `currentPassword`, and is asked for no more often than a registration.',
      answers: one(OwnAccount),
      problems: ['conflict', 'too-many-requests'],
    }),
    valid('json', AccountPatch),
    async (c) => {
      const { currentPassword, ...values } = c.req.valid('json')
      let provedHash: string | undefined
      if (values.email !== undefined && values.email !== (await findOwnAccount(c.env.db, c.get('caller').id))?.email) {
        if (currentPassword === undefined)
          throw invalid('currentPassword', 'is needed to change the e-mail address', 'required')
        provedHash = (await prove(c, currentPassword)).passwordHash
        // Which addresses are taken is told as slowly as to who registers.
        await countAttempt(c.env.db, registrationBuckets(c.env.config, c.env.address))
      }
      const user = await changeOwn(c.env.db, c.get('caller'), values, provedHash)
      if (user === 'passwordChanged') throw wrongPassword(c)
      if (!user) throw new Problem('precondition-failed')
      return answerChanged(c, user)
    },
  )
  .post(
    '/password',
    can('account:password', {
      id: 'changePassword',
      summary: 'Change one’s own password',
      description:
        'Every other session ends, and so do the calendar feeds that the account has made and a reset token of its.',
      answers: nothing,
      problems: ['too-many-requests'],
    }),
    valid('json', NewPassword),
    async (c) => {
      const { config, db, passwords, sessions } = c.env
      const { currentPassword, newPassword } = c.req.valid('json')
      const identity = await prove(c, currentPassword)
      const errors = passwordFaults(config, 'newPassword', newPassword, identity)
      if (errors.length > 0) throw new Problem('bad-request', { errors })
      const changed = await changePassword(
        db,
        c.get('caller'),
        identity.passwordHash,
        await passwords.hash(newPassword),
      )
      if (!changed) throw wrongPassword(c)
      sessions.forget({ user: c.get('caller').id })
      return c.body(null, 204)
    },
  )
  .post(
    '/reset',
    anyone({
      id: 'resetPassword',
      summary: 'Set a password with a reset token',
      description:
        'Every session ends, and so do the calendar feeds that the account has made. A refused password does not use the token up.',
      answers: nothing,
      problems: ['too-many-requests'],
    }),
    valid('json', Reset),
    async (c) => {
      const { config, db, passwords, sessions, address } = c.env
      const { token, newPassword } = c.req.valid('json')
      const buckets = tokenBuckets(config, address)
      await assertOpen(db, buckets)
      const tokenHash = hashOf(token)
      const account = await findReset(db, tokenHash)
      if (!account) {
        await countAttempt(db, buckets)
        throw wrongToken(c)
      }
      const errors = passwordFaults(config, 'newPassword', newPassword, account)
      if (errors.length > 0) throw new Problem('bad-request', { errors })
      const user = await resetPassword(db, sender(c), tokenHash, await passwords.hash(newPassword))
      if (!user) throw wrongToken(c)
      sessions.forget({ user })
      return c.body(null, 204)
    },
  )
  .get(
    '/sessions',
    can('sessions:list', { id: 'listSessions', summary: 'List one’s own sessions', answers: page(Session) }),
    valid('query', plainQuery({})),
    async (c) => answerPage(c, await readPage(c, c.req.valid('query'), listSessions(c.env.db, c.get('caller')))),
  )
  .delete(
    '/sessions/:id',
    can('sessions:end', { id: 'endSession', summary: 'End one of one’s own sessions', answers: nothing }),
    valid('param', ById),
    noQuery(),
    async (c) => {
      const session = c.req.valid('param').id
      const ended = await endSessions(c.env.db, sender(c), { session, userId: c.get('caller').id })
      if (ended.length === 0) throw new Problem('not-found')
      c.env.sessions.forget({ session })
      return c.body(null, 204)
    },
  )
  .post(
    '/logout-all',
    can('sessions:end', { id: 'logoutAll', summary: 'End all of one’s own sessions', answers: nothing }),
    noQuery(),
    async (c) => {
      const user = c.get('caller').id
      await endSessions(c.env.db, sender(c), { userId: user })
      c.env.sessions.forget({ user })
      return c.body(null, 204)
    },
  )
