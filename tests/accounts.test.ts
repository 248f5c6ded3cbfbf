import { sql } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { Api, doctor, type Person, password, patient, world } from './support/api.ts'

const { api, admin, url } = await world()

const login = (email: string, word = password, on: Api = api) =>
  on.send('POST', '/api/auth/login', { email, password: word })
const user = (more: Record<string, unknown> = {}) => ({
  name: 'New User',
  email: `${crypto.randomUUID()}@example.org`,
  password,
  role: 'doctor',
  ...more,
})

describe('One’s own account', () => {
  it('an account reads and renames itself', async () => {
    const person = await api.register('Before')
    const changed = await person.patch('/api/auth/me', { name: ' After ' })
    expect([changed.status, changed.at('name')]).toEqual([200, 'After'])
    expect((await person.get('/api/auth/me')).body).toEqual(changed.body)
  })

  it('an account changes its e-mail address only with the password', async () => {
    const person = await api.register('Mover')
    const email = `${crypto.randomUUID()}@example.org`
    for (const body of [{ email }, { email, currentPassword: 'wrong one' }]) {
      const refused = await person.patch('/api/auth/me', body)
      expect([refused.status, refused.faults]).toEqual([400, ['currentPassword']])
    }
    expect(
      (await person.patch('/api/auth/me', { email: email.toUpperCase(), currentPassword: password })).at('email'),
    ).toBe(email)
    expect((await person.patch('/api/auth/me', { email })).status).toBe(200)
    expect((await login(email)).status).toBe(200)
  })

  it('an account does not take another account’s address', async () => {
    const person = await api.register('Greedy')
    expect((await person.patch('/api/auth/me', { email: admin.email, currentPassword: password })).status).toBe(409)
  })

  it('an account does not make itself an administrator', async () => {
    const person = await api.register('Climber')
    const answer = await person.patch('/api/auth/me', { role: 'admin', active: true })
    expect([answer.status, answer.faults]).toEqual([400, ['role', 'active']])
  })
})

describe('A password', () => {
  it('a password that is changed or reset changes the ETag of the account', async () => {
    const person = await api.register('Tagged')
    const readTag = async () => (await admin.get(`/api/users/${person.id}`)).headers.get('ETag')
    const tags = [await readTag()]
    await person.post('/api/auth/password', { currentPassword: password, newPassword: 'brand new password' })
    tags.push(await readTag())
    const token = (await admin.post(`/api/users/${person.id}/reset-token`)).string('token')
    await api.send('POST', '/api/auth/reset', { token, newPassword: 'another new password' })
    tags.push(await readTag())
    expect(new Set(tags).size).toBe(3)
  })

  it('a password is changed with the old one, which ends every other session', async () => {
    const person = await api.register('Changer')
    const other = await login(person.email)
    const change = (currentPassword: string, newPassword: string) =>
      person.post('/api/auth/password', { currentPassword, newPassword })
    expect((await change('not this one', 'brand new password')).faults).toEqual(['currentPassword'])
    expect((await change(password, 'short')).faults).toEqual(['newPassword'])
    expect((await change(password, person.email)).faults).toEqual(['newPassword'])
    expect((await change(password, 'brand new password')).status).toBe(204)
    expect((await person.get('/api/auth/me')).status).toBe(200)
    expect((await api.send('GET', '/api/auth/me', undefined, { token: other.string('access') })).status).toBe(401)
    expect((await api.send('POST', '/api/auth/refresh', { refresh: other.string('refresh') })).status).toBe(401)
    expect((await login(person.email)).status).toBe(401)
    expect((await login(person.email, 'brand new password')).status).toBe(200)
  })

  it('a wrong guess at a password or a reset token leaves an entry in the audit log', async () => {
    const person = await api.register('Guessed')
    const answers = [
      await person.post('/api/auth/password', { currentPassword: 'wrong one', newPassword: 'a brand new one' }),
      await person.patch('/api/auth/me', { email: 'guessed.else@example.org', currentPassword: 'wrong one' }),
      await api.send('POST', '/api/auth/reset', { token: 'x'.repeat(43), newPassword: 'a brand new one' }),
    ]
    expect(answers.map(({ status }) => status)).toEqual([400, 400, 400])
    await api.env.auditWriter.flush()
    const ids = answers.map(({ headers }) => headers.get('X-Request-Id'))
    const entries = await Promise.all(
      ids.map(async (requestId) => (await admin.get(`/api/audit?requestId=${requestId}`)).at('results.0')),
    )
    const failed = { action: 'auth.login_failed', status: 400 }
    const own = { ...failed, userId: person.id, role: 'patient' }
    expect(entries).toMatchObject([own, own, { ...failed, userId: null, role: null }])
  })

  it('a password is reset with a token of the administrator, once, and every session ends', async () => {
    const person = await api.register('Forgetful')
    const reset = (token: string, newPassword: string) => api.send('POST', '/api/auth/reset', { token, newPassword })
    const voided = await admin.post(`/api/users/${person.id}/reset-token`)
    const opened = await admin.post(`/api/users/${person.id}/reset-token`)
    expect([opened.status, Object.keys(Object(opened.body)).sort()]).toEqual([201, ['expiresAt', 'token']])
    expect((await reset(voided.string('token'), 'brand new password')).faults).toEqual(['token'])
    expect((await reset(opened.string('token'), 'password1')).faults).toEqual(['newPassword'])
    expect((await reset(opened.string('token'), 'brand new password')).status).toBe(204)
    expect((await reset(opened.string('token'), 'another new password')).faults).toEqual(['token'])
    expect((await person.get('/api/auth/me')).status).toBe(401)
    expect((await login(person.email, 'brand new password')).status).toBe(200)
  })

  it('a password is not reset with a token of yesterday', async () => {
    const person = await api.register('Late')
    const opened = await admin.post(`/api/users/${person.id}/reset-token`)
    await api.db.execute(sql`update resets set expires_at = now() where user_id = ${person.id}`)
    const answer = await api.send('POST', '/api/auth/reset', {
      token: opened.string('token'),
      newPassword: 'brand new password',
    })
    expect([answer.status, answer.faults]).toEqual([400, ['token']])
  })
})

describe('User administration', () => {
  it('an administrator makes accounts of any role', async () => {
    for (const role of ['admin', 'doctor', 'patient']) {
      const made = await admin.post('/api/users', user({ role }))
      expect([made.status, made.at('role'), made.headers.get('Location')]).toEqual([201, role, `/api/users/${made.id}`])
      expect((await admin.get(`/api/users/${made.id}`)).body).toEqual(made.body)
      expect((await login(made.string('email'))).status).toBe(200)
    }
  })

  it('an administrator lists accounts by role, by what they may do, and by parts of name and address', async () => {
    const made = await admin.post('/api/users', user({ name: 'Zoë Quartermain', role: 'patient' }))
    expect((await admin.get('/api/users?q=zoe+quart')).each('id')).toEqual([made.id])
    expect((await admin.get('/api/users?role=patient&active=true&q=quarter')).each('id')).toEqual([made.id])
    expect((await admin.get('/api/users?role=doctor&q=quarter')).list()).toEqual([])
    await admin.patch(`/api/users/${made.id}`, { active: false })
    expect((await admin.get('/api/users?active=false&q=quarter')).each('id')).toEqual([made.id])
  })

  it('an administrator changes a role at once, and the sessions stay', async () => {
    const person = await api.register('Promoted')
    expect((await person.get('/api/users')).status).toBe(403)
    expect((await admin.patch(`/api/users/${person.id}`, { role: 'admin' })).at('role')).toBe('admin')
    expect((await person.get('/api/users')).status).toBe(200)
    await admin.patch(`/api/users/${person.id}`, { role: 'patient' })
    expect((await person.get('/api/users')).status).toBe(403)
  })

  it('an administrator deactivates an account at once, and a later activation brings no session back', async () => {
    const person = await api.register('Suspended')
    await admin.patch(`/api/users/${person.id}`, { active: false })
    const refused = async () => [
      (await person.get('/api/auth/me')).status,
      (await api.send('POST', '/api/auth/refresh', { refresh: person.refresh })).status,
    ]
    expect([...(await refused()), (await login(person.email)).status]).toEqual([401, 401, 401])
    await admin.patch(`/api/users/${person.id}`, { active: true })
    expect([...(await refused()), (await login(person.email)).status]).toEqual([401, 401, 200])
  })

  it('an active account that is made active keeps its sessions', async () => {
    const person = await api.register('Unbothered')
    await admin.patch(`/api/users/${person.id}`, { active: true, name: 'Still here' })
    expect((await person.get('/api/auth/me')).at('name')).toBe('Still here')
  })

  it('the last active administrator can be neither demoted nor deactivated', async () => {
    const others = (await admin.get('/api/users?role=admin&active=true')).each('id').filter((id) => id !== admin.id)
    for (const id of others) expect((await admin.patch(`/api/users/${id}`, { role: 'doctor' })).status).toBe(200)
    expect((await admin.patch(`/api/users/${admin.id}`, { role: 'doctor' })).status).toBe(409)
    expect((await admin.patch(`/api/users/${admin.id}`, { active: false })).status).toBe(409)
    expect((await admin.patch(`/api/users/${admin.id}`, { name: 'Ada the Last', role: 'admin' })).status).toBe(200)
  })

  it('a taken e-mail address is a conflict that says so where an administrator sets it', async () => {
    const [one, other] = [await admin.post('/api/users', user()), await admin.post('/api/users', user())]
    const taken = await admin.patch(`/api/users/${one.id}`, { email: other.string('email') })
    expect([taken.status, taken.text]).toEqual([409, expect.stringContaining('e-mail')])
  })

  it('an account that is linked to a doctor keeps its role until it is unlinked', async () => {
    const account = await admin.post('/api/users', user({ role: 'doctor' }))
    const linked = await admin.post('/api/doctors', doctor({ userId: account.id }))
    expect((await admin.patch(`/api/users/${account.id}`, { role: 'patient' })).status).toBe(409)
    expect((await admin.patch(`/api/users/${account.id}`, { name: 'Still a doctor' })).status).toBe(200)
    await admin.patch(`/api/doctors/${linked.id}`, { userId: null })
    expect((await admin.patch(`/api/users/${account.id}`, { role: 'patient' })).status).toBe(200)
  })

  it.each([
    ['an unknown id', () => `/api/users/${crypto.randomUUID()}`],
    ['no id', () => '/api/users/me'],
  ])('a user is not found by %s', async (_, path) => {
    expect((await admin.get(path())).status).toBe(404)
    expect((await admin.patch(path(), { nonsense: 1 })).status).toBe(404)
    expect((await admin.post(`${path()}/reset-token`)).status).toBe(404)
  })
})

describe('The first account', () => {
  it('the first account is the administrator, and every later one is a patient', async () => {
    expect((await admin.get('/api/auth/me')).at('role')).toBe('admin')
    const person = await api.register('Second')
    expect((await person.get('/api/auth/me')).at('role')).toBe('patient')
    expect((await person.post('/api/doctors', doctor())).status).toBe(403)
    expect((await person.post('/api/patients', patient())).status).toBe(201)
  })
})

describe('A reset token', () => {
  const issued = async (of: Person) => (await admin.post(`/api/users/${of.id}/reset-token`)).string('token')
  const reset = (token: string) => api.send('POST', '/api/auth/reset', { token, newPassword: 'brand new password' })

  it('a reset token is void once its owner has changed the password', async () => {
    const person = await api.register('Changed')
    const token = await issued(person)
    await person.post('/api/auth/password', { currentPassword: password, newPassword: `${password}!` })
    expect((await reset(token)).faults).toEqual(['token'])
  })

  it('a reset token is void once the account was deactivated', async () => {
    const person = await api.register('Deactivated')
    const token = await issued(person)
    await admin.patch(`/api/users/${person.id}`, { active: false })
    await admin.patch(`/api/users/${person.id}`, { active: true })
    expect((await reset(token)).faults).toEqual(['token'])
  })

  it('a reset token stays valid when an active account is made active', async () => {
    const person = await api.register('Active')
    const token = await issued(person)
    expect((await admin.patch(`/api/users/${person.id}`, { active: true })).status).toBe(200)
    expect((await person.get('/api/auth/me')).status).toBe(200)
    expect((await reset(token)).status).toBe(204)
  })
})

describe('The account that is shown to its owner', () => {
  it('an account and its ETag show its doctor and patient until those are deleted', async () => {
    const person = await api.register('Linked')
    const read = async () => {
      const answer = await person.get('/api/auth/me')
      return { tag: answer.headers.get('ETag') ?? '', linked: [answer.at('doctorId'), answer.at('patientId')] }
    }
    const alone = await read()
    expect(alone.linked).toEqual([null, null])
    const own = await person.post('/api/patients', patient({ self: true }))
    const asPatient = await read()
    expect(asPatient.linked).toEqual([null, own.id])
    expect(asPatient.tag).not.toBe(alone.tag)
    expect((await person.patch('/api/auth/me', { name: 'X' }, { 'If-Match': alone.tag })).status).toBe(412)
    const changed = await person.patch('/api/auth/me', { name: 'X' }, { 'If-Match': asPatient.tag })
    expect([changed.status, changed.at('patientId')]).toEqual([200, own.id])
    expect(changed.headers.get('ETag')).toBe((await read()).tag)
    await admin.delete(`/api/patients/${own.id}`)
    expect((await read()).linked).toEqual([null, null])

    await admin.patch(`/api/users/${person.id}`, { role: 'doctor' })
    const profile = await admin.post('/api/doctors', doctor({ userId: person.id }))
    expect((await read()).linked).toEqual([profile.id, null])
    expect((await admin.get(`/api/users/${person.id}`)).body).not.toHaveProperty('doctorId')
  })
})

describe('What outlasts a session', () => {
  /** Another process, which trusts the session of `person` for a while whatever has become of it. */
  async function trusting(person: Person) {
    const other = await Api.start(url)
    expect((await other.send('GET', '/api/auth/me', undefined, { token: person.access })).status).toBe(200)
    return other
  }
  const ends: [string, (person: Person) => Promise<unknown>][] = [
    [
      'a changed password',
      async (person) => {
        const owner = (await login(person.email)).string('access')
        const body = { currentPassword: password, newPassword: `${password}!` }
        await api.send('POST', '/api/auth/password', body, { token: owner })
      },
    ],
    ['a deactivation', (person) => admin.patch(`/api/users/${person.id}`, { active: false })],
    ['the end of all sessions', (person) => person.post('/api/auth/logout-all')],
  ]

  it.each(ends)(
    'a session makes no feed and no reset token after %s, also in a process that still trusts it',
    async (_, end) => {
      const person = await api.register('Stolen')
      const { id: patientId } = await person.post('/api/patients', patient())
      await admin.patch(`/api/users/${person.id}`, { role: 'admin' })
      const other = await trusting(person)
      await end(person)
      const paths = [`/api/patients/${patientId}/calendar-feed`, `/api/users/${person.id}/reset-token`]
      for (const path of paths) {
        const answer = await other.send('POST', path, undefined, { token: person.access })
        expect([path, answer.status]).toEqual([path, 401])
      }
      await other.stop()
      expect(await api.db.execute(sql`select from feeds where user_id = ${person.id}`)).toHaveLength(0)
      expect(await api.db.execute(sql`select from resets where user_id = ${person.id}`)).toHaveLength(0)
    },
  )
})
