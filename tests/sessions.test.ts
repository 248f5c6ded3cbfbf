import { sql } from 'drizzle-orm'
import { sign } from 'hono/jwt'
import { describe, expect, it, vi } from 'vitest'
import { type Answer, Api, type Person, password, patient, secret, world } from './support/api.ts'

const { api, url, admin } = await world()

const refresh = (token: unknown, on = api) => on.send('POST', '/api/auth/refresh', { refresh: token })
const me = (token: string, on = api) => on.send('GET', '/api/auth/me', undefined, { token })
const login = (email: string, secretWord = password, on = api) =>
  on.send('POST', '/api/auth/login', { email, password: secretWord })
const claimsOf = (token: string): Record<string, unknown> =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
/** Makes the last rotation of a person's sessions older: the database's clock cannot be moved. */
const age = (userId: string, interval: string) =>
  api.db.execute(sql`update sessions set rotated_at = rotated_at - ${interval}::interval where user_id = ${userId}`)

describe('registration', () => {
  it('answers with the account and a pair of tokens', async () => {
    const answer = await api.send('POST', '/api/auth/register', {
      name: ' Grace  Hopper ',
      email: 'Grace@Example.ORG',
      password,
    })
    expect(answer.status).toBe(201)
    expect(answer.body).toEqual({
      user: {
        id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        name: 'Grace  Hopper',
        email: 'grace@example.org',
        role: 'patient',
        active: true,
        createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        updatedAt: expect.any(String),
      },
      access: expect.any(String),
      refresh: expect.any(String),
      tokenType: 'Bearer',
      expiresIn: 1800,
    })
  })

  it('refuses an e-mail address that is taken, whatever its case', async () => {
    const person = await api.register('Taken')
    const again = await api.send('POST', '/api/auth/register', {
      name: 'Other',
      email: person.email.toUpperCase(),
      password,
    })
    expect([again.status, again.at('type')]).toEqual([409, '/problems/conflict'])
  })

  it.each([
    ['too short', 'seven77'],
    ['common', 'PASSWORD123'],
    ['the name', 'Johann Gambolputty'],
    ['the address', 'johann@EXAMPLE.org'],
    ['257 characters', 'x'.repeat(257)],
    ['half a surrogate pair', `pass\uD800word`],
  ])('refuses a password that is %s', async (_, wanted) => {
    const answer = await api.send('POST', '/api/auth/register', {
      name: 'Johann Gambolputty',
      email: 'johann@example.org',
      password: wanted,
    })
    expect([answer.status, answer.faults]).toEqual([400, ['password']])
  })

  it('counts a password in characters, keeps its blanks, and compares it in NFC', async () => {
    const email = 'blanks@example.org'
    const registered = await api.send('POST', '/api/auth/register', { name: 'B', email, password: '  é😀😀😀😀 ' })
    expect(registered.status).toBe(201)
    expect((await login(email, '  é😀😀😀😀 ')).status).toBe(200)
    expect((await login(email, 'é😀😀😀😀')).status).toBe(401)
  })

  it('can be closed', async () => {
    const closed = await Api.start(url, { REGISTRATION: 'closed' })
    const answer = await closed.send('POST', '/api/auth/register', { name: 'C', email: 'closed@example.org', password })
    expect(answer.status).toBe(403)
    await closed.stop()
  })
})

describe('login', () => {
  it('gives one and the same answer to a wrong password, an unknown account and a deactivated one', async () => {
    const [known, gone] = [await api.register('Known'), await api.register('Gone')]
    await api.db.execute(sql`update users set active = false where id = ${gone.id}`)
    const answers = [
      await login(known.email, 'wrong password'),
      await login('nobody@example.org'),
      await login(gone.email),
    ]
    const told = answers.map(({ status, body, headers }) => [
      status,
      { ...Object(body), instance: '' },
      headers.get('WWW-Authenticate'),
    ])
    expect(told[0]?.[0]).toBe(401)
    expect(told[1]).toEqual(told[0])
    expect(told[2]).toEqual(told[0])
  })

  it('makes a hash with other parameters anew, and so Django\u2019s', async () => {
    const person = await api.register('Django')
    // make_password('from the old system') of Django 5, 1,000 iterations.
    const salt = 'seasalt'
    const { pbkdf2Sync } = await import('node:crypto')
    const digest = pbkdf2Sync('from the old system', salt, 1000, 32, 'sha256').toString('base64')
    await api.db.execute(
      sql`update users set password_hash = ${`pbkdf2_sha256$1000$${salt}$${digest}`} where id = ${person.id}`,
    )
    expect((await login(person.email, 'from the new system')).status).toBe(401)
    expect((await login(person.email, 'from the old system')).status).toBe(200)
    const [row] = await api.db.execute<{ password_hash: string }>(
      sql`select password_hash from users where id = ${person.id}`,
    )
    expect(row?.password_hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
    expect((await login(person.email, 'from the old system')).status).toBe(200)
  })

  it('does not compute a stored hash of monstrous parameters', async () => {
    const person = await api.register('Monster')
    await api.db.execute(
      sql`update users set password_hash = '$argon2id$v=19$m=4194304,t=99,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA' where id = ${person.id}`,
    )
    expect((await login(person.email)).status).toBe(401)
  })
})

describe('refreshing', () => {
  it('rotates: the new token works, and the old one for ten seconds with the same successor', async () => {
    const person = await api.register('Rotating')
    const first = await refresh(person.refresh)
    const again = await refresh(person.refresh)
    expect([first.status, again.status]).toEqual([200, 200])
    expect(Object.keys(Object(first.body)).sort()).toEqual(['access', 'expiresIn', 'refresh', 'tokenType'])
    expect(first.string('refresh')).not.toBe(person.refresh)
    expect(again.string('refresh')).toBe(first.string('refresh'))
    expect((await me(again.string('access'))).status).toBe(200)
    expect((await refresh(first.string('refresh'))).status).toBe(200)
  })

  it('revokes the session, for good, when a token is used again later', async () => {
    const person = await api.register('Robbed')
    const stolen = await refresh(person.refresh)
    await age(person.id, '11 seconds')
    expect((await refresh(person.refresh)).status).toBe(401)
    expect((await refresh(stolen.string('refresh'))).status).toBe(401)
    expect((await me(stolen.string('access'))).status).toBe(401)
    expect((await me(person.access)).status).toBe(401)
    const [row] = await api.db.execute(
      sql`select 1 from audit where action = 'auth.refresh_reused' and user_id = ${person.id}`,
    )
    expect(row).toBeDefined()
  })

  it('ends with the session\u2019s own lifetime', async () => {
    const person = await api.register('Old')
    await api.db.execute(sql`update sessions set expires_at = now() where user_id = ${person.id}`)
    expect((await refresh(person.refresh)).status).toBe(401)
    expect((await me(person.access)).status).toBe(401)
    const token = (await login(person.email)).string('access')
    expect((await api.send('GET', '/api/auth/sessions', undefined, { token })).each('current')).toEqual([true])
  })

  it.each([
    ['an access token', (_: string, access: string) => access],
    ['rubbish', () => 'a.b.c'],
    ['a token whose signature is spelled otherwise', (token: string) => `${token}=`],
    [
      'a token with a changed claim',
      (token: string) => token.replace(/\.[^.]+\./, `.${Buffer.from('{"typ":"refresh"}').toString('base64url')}.`),
    ],
  ])('refuses %s', async (_, make) => {
    const person = await api.register('Forger')
    expect((await refresh(make(person.refresh, person.access))).status).toBe(401)
  })
})

describe('access tokens', () => {
  const now = () => Math.floor(Date.now() / 1000)

  it('carry what the contract says', async () => {
    const person = await api.register('Claims')
    const { iat, exp, ...claims } = claimsOf(person.access)
    expect(claims).toEqual({
      iss: 'hospital-api',
      aud: 'hospital-api',
      sub: person.id,
      sid: expect.any(String),
      jti: expect.any(String),
      typ: 'access',
    })
    expect(Number(exp) - Number(iat)).toBe(1800)
  })

  it.each<[string, (claims: Record<string, unknown>) => Record<string, unknown> | null]>([
    ['without exp', ({ exp: _, ...rest }) => rest],
    ['that has expired', (claims) => ({ ...claims, exp: now() - 1 })],
    ['issued by someone else', (claims) => ({ ...claims, iss: 'elsewhere' })],
    ['for someone else', (claims) => ({ ...claims, aud: ['hospital-api'] })],
    ['of no type', ({ typ: _, ...rest }) => rest],
    ['of the other type', (claims) => ({ ...claims, typ: 'refresh' })],
    ['issued more than a minute ahead', (claims) => ({ ...claims, iat: now() + 90 })],
    ['not valid for more than a minute yet', (claims) => ({ ...claims, nbf: now() + 90 })],
    ['of another\u2019s session', (claims) => ({ ...claims, sub: crypto.randomUUID() })],
    ['with a session that is no id', (claims) => ({ ...claims, sid: "' or 1=1" })],
  ])('are refused %s', async (_, change) => {
    const person = await api.register('Forger')
    const forged = await sign(change(claimsOf(person.access)) ?? {}, secret, 'HS256')
    const answer = await me(forged)
    expect([answer.status, answer.headers.get('WWW-Authenticate')]).toEqual([401, 'Bearer'])
  })

  it('work with a clock a minute ahead or behind', async () => {
    const person = await api.register('Clock')
    const claims = claimsOf(person.access)
    for (const iat of [now() + 55, now() - 55])
      expect((await me(await sign({ ...claims, iat, nbf: iat }, secret, 'HS256'))).status).toBe(200)
  })

  it.each(['none', 'HS384', 'HS512'])('are refused with algorithm %s', async (alg) => {
    const person = await api.register('Algorithm')
    const header = Buffer.from(JSON.stringify({ alg, typ: 'JWT' })).toString('base64url')
    const signed =
      alg === 'none'
        ? person.access.replace(/^[^.]+/, header)
        : await sign(claimsOf(person.access), secret, alg === 'HS384' ? 'HS384' : 'HS512')
    expect((await me(signed)).status).toBe(401)
  })

  it('expire, also one that was seen before', async () => {
    const person = await api.register('Patience')
    expect((await me(person.access)).status).toBe(200)
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 31 * 60_000 })
    try {
      expect((await me(person.access)).status).toBe(401)
    } finally {
      vi.useRealTimers()
    }
  })

  it('outlive a change of the secret while the old one is known', async () => {
    const person = await api.register('Secret')
    const next = await Api.start(url, {
      JWT_SECRET: 'another secret of more than 32 bytes',
      JWT_SECRET_PREVIOUS: secret,
    })
    const after = await Api.start(url, { JWT_SECRET: 'another secret of more than 32 bytes' })
    expect((await me(person.access, next)).status).toBe(200)
    const renewed = await refresh(person.refresh, next)
    expect(renewed.status).toBe(200)
    expect((await me(person.access, after)).status).toBe(401)
    expect((await me(renewed.string('access'), after)).status).toBe(200)
    await Promise.all([next.stop(), after.stop()])
  })
})

describe('ending sessions', () => {
  it('logs out by either token, and always answers 204', async () => {
    const [one, two] = [await api.register('One'), await api.register('Two')]
    const answers = [
      await api.send('POST', '/api/auth/logout', { refresh: one.refresh }),
      await two.post('/api/auth/logout'),
      await api.send('POST', '/api/auth/logout', { refresh: 'rubbish' }),
      await api.send('POST', '/api/auth/logout'),
      await api.send('POST', '/api/auth/logout', {}),
    ]
    expect(answers.map(({ status, text }) => [status, text])).toEqual(answers.map(() => [204, '']))
    for (const person of [one, two]) {
      expect((await me(person.access)).status).toBe(401)
      expect((await refresh(person.refresh)).status).toBe(401)
    }
  })

  type Ending = (person: Person, other: Answer) => Promise<Answer>
  const newPassword = 'another long password'
  const endings: [string, Ending][] = [
    [
      'the password is changed',
      (person) => person.post('/api/auth/password', { currentPassword: password, newPassword }),
    ],
    [
      'the password is reset',
      async ({ id }) => {
        const token = (await admin.post(`/api/users/${id}/reset-token`)).string('token')
        return api.send('POST', '/api/auth/reset', { token, newPassword })
      },
    ],
    ['the account is deactivated', ({ id }) => admin.patch(`/api/users/${id}`, { active: false })],
    [
      'it is ended from another device',
      async (person) => {
        const sessions = await person.get('/api/auth/sessions')
        const ended = sessions.each('id').find((_, index) => sessions.at(`results.${index}.current`) === false)
        return person.delete(`/api/auth/sessions/${ended}`)
      },
    ],
    ['all are ended', (person) => person.post('/api/auth/logout-all')],
    [
      'it is ended by itself',
      (_, other) => api.send('POST', '/api/auth/logout', undefined, { token: other.string('access') }),
    ],
    [
      'a refresh token is used again',
      async (_, other) => {
        const refresh = other.string('refresh')
        const { refresh: second } = JSON.parse((await api.send('POST', '/api/auth/refresh', { refresh })).text)
        await api.send('POST', '/api/auth/refresh', { refresh: second })
        await api.db.execute(sql`update sessions set rotated_at = rotated_at - interval '1 minute'`)
        return api.send('POST', '/api/auth/refresh', { refresh })
      },
    ],
  ]
  it.each(endings)('counts at once for a token that was just used where %s', async (_, end) => {
    const person = await api.register('Remembered')
    const other = await api.send('POST', '/api/auth/login', { email: person.email, password })
    expect((await me(other.string('access'))).status).toBe(200)
    expect((await end(person, other)).status).toBeLessThan(402)
    expect((await me(other.string('access'))).status).toBe(401)
  })

  it('counts within five seconds in another process', async () => {
    const other = await Api.start(url)
    const person = await api.register('Elsewhere')
    expect((await me(person.access, other)).status).toBe(200)
    await person.post('/api/auth/logout')
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 5000 })
    try {
      expect((await me(person.access, other)).status).toBe(401)
    } finally {
      vi.useRealTimers()
      await other.stop()
    }
  })

  it('counts at once in another process where accounts are changed', async () => {
    const other = await Api.start(url)
    const someone = await api.register('Demoted')
    const person = await api.register('Elsewhere')
    await admin.patch(`/api/users/${person.id}`, { role: 'admin' })
    const send = (method: string, path: string, body?: unknown) =>
      other.send(method, path, body, { headers: { Authorization: `Bearer ${person.access}` } })
    expect((await send('GET', '/api/users')).status).toBe(200)
    const patientId = (await admin.post('/api/patients', patient())).id
    await person.post('/api/auth/logout')
    const feed = await send('POST', `/api/patients/${patientId}/calendar-feed`)
    const changes = [
      await send('PATCH', `/api/users/${someone.id}`, { role: 'admin' }),
      await send('POST', '/api/users', { name: 'New', email: 'new@example.org', password, role: 'admin' }),
      await send('POST', `/api/users/${someone.id}/reset-token`),
      await send('PATCH', '/api/auth/me', { name: 'Other' }),
      await send('POST', '/api/auth/password', { currentPassword: password, newPassword: 'another long password' }),
    ]
    expect([feed, ...changes].map(({ status }) => status)).toEqual([401, 401, 401, 401, 401, 401])
    await other.stop()
  })

  it('lists the caller\u2019s live sessions, says which is this one, and ends one', async () => {
    const person = await api.register('Devices')
    const phone = await api.send(
      'POST',
      '/api/auth/login',
      { email: person.email, password },
      { headers: { 'User-Agent': 'Phone/1.0' }, env: { clientAddress: '198.51.100.7' } },
    )
    const list = await person.get('/api/auth/sessions')
    expect(list.each('current')).toEqual([false, true])
    expect(list.at('results.0')).toEqual({
      id: claimsOf(phone.string('access')).sid,
      createdAt: expect.any(String),
      lastUsedAt: expect.any(String),
      ip: '198.51.100.7',
      userAgent: 'Phone/1.0',
      current: false,
    })
    const stranger = await api.register('Stranger')
    expect((await stranger.delete(`/api/auth/sessions/${list.string('results.0.id')}`)).status).toBe(404)
    expect((await person.delete(`/api/auth/sessions/${list.string('results.0.id')}`)).status).toBe(204)
    expect((await me(phone.string('access'))).status).toBe(401)
    expect((await person.get('/api/auth/sessions')).list()).toHaveLength(1)
  })

  it('ends them all', async () => {
    const person = await api.register('Everywhere')
    const other = await login(person.email)
    expect((await person.post('/api/auth/logout-all')).status).toBe(204)
    expect((await me(person.access)).status).toBe(401)
    expect((await me(other.string('access'))).status).toBe(401)
    expect((await login(person.email)).status).toBe(200)
  })
})

it('keeps no token and no password, in no form that could be used', async () => {
  const person = await api.register('Dumped')
  const renewed = await refresh(person.refresh)
  const tables = await api.db.execute<{ row: string }>(
    sql`select row_to_json(s)::text as row from sessions s union all select row_to_json(u)::text from users u union all select row_to_json(a)::text from audit a`,
  )
  const dump = tables.map(({ row }) => row).join('\n')
  for (const value of [person.access, person.refresh, renewed.string('refresh'), password]) {
    expect(dump).not.toContain(value)
    expect(dump).not.toContain(value.split('.').at(-1))
  }
})
