import { Hono } from 'hono'
import { anyone, can, sender } from '../access/can.ts'
import type { App, Asked } from '../env.ts'
import { Problem } from '../http/problem.ts'
import { valid } from '../http/valid.ts'
import { bearer, unauthorized } from './authenticate.ts'
import { decoy, outdated, passwordFaults } from './passwords.ts'
import { endSession, findCredentials, findUser, register, rehash, rotate, signIn } from './queries.ts'
import { Login, Logout, Refresh, Register } from './schema.ts'
import { generationOf, type SessionRow, tokenPair, verifyToken } from './tokens.ts'

const pairFor = (c: Asked, session: SessionRow) => tokenPair(c.env.config, c.env.keys, session)
const refused = () => unauthorized('The e-mail address or the password is not right.')

export const authRoutes = new Hono<App>()
  .post('/register', anyone(), valid('json', Register), async (c) => {
    const { config, db, passwords } = c.env
    if (config.REGISTRATION === 'closed') throw new Problem('forbidden', { detail: 'Registration is closed.' })
    const { password, ...account } = c.req.valid('json')
    const errors = passwordFaults(config, 'password', password, account)
    if (errors.length > 0) throw new Problem('bad-request', { errors })
    const { user, session } = await register(db, config, sender(c), {
      ...account,
      passwordHash: await passwords.hash(password),
    })
    return c.json({ user, ...(await pairFor(c, session)) }, 201)
  })
  .post('/login', anyone(), valid('json', Login), async (c) => {
    const { config, db, passwords } = c.env
    const { email, password } = c.req.valid('json')
    const account = await findCredentials(db, email)
    // An unknown account costs as much time as a known one.
    const right = await passwords.verify(account?.passwordHash ?? decoy, password)
    if (!account?.active || !right) throw refused()
    const signedIn = await signIn(db, config, sender(c), account.id)
    if (!signedIn) throw refused()
    if (outdated(account.passwordHash))
      await rehash(db, account.id, account.passwordHash, await passwords.hash(password))
    return c.json({ user: signedIn.user, ...(await pairFor(c, signedIn.session)) }, 200)
  })
  .post('/refresh', anyone(), valid('json', Refresh), async (c) => {
    const { config, db, keys, sessions } = c.env
    const claims = await verifyToken(config, keys, c.req.valid('json').refresh, 'refresh')
    const session =
      claims && (await rotate(db, sender(c), { id: claims.sid, userId: claims.sub, generation: generationOf(claims) }))
    if (session?.revokedAt) sessions.forget({ session: session.id })
    if (!session || session.revokedAt) throw unauthorized('The refresh token is not valid, or its session has ended.')
    return c.json(await pairFor(c, session), 200)
  })
  .post('/logout', anyone(), valid('json', Logout, { optional: true }), async (c) => {
    const { config, db, keys, sessions } = c.env
    const { refresh } = c.req.valid('json')
    const token = bearer(c)
    const claims = await Promise.all([
      refresh && verifyToken(config, keys, refresh, 'refresh'),
      token && sessions.claims(c, token),
    ])
    for (const session of new Set(claims.flatMap((claim) => (claim ? [claim.sid] : [])))) {
      await endSession(db, sender(c), session)
      sessions.forget({ session })
    }
    return c.body(null, 204)
  })
  .get('/me', can('account:use'), async (c) => {
    const user = await findUser(c.env.db, c.var.caller.id)
    if (!user) throw unauthorized()
    return c.json(user, 200)
  })
