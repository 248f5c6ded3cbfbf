import { sql } from 'drizzle-orm'
import { describe, expect, inject, it } from 'vitest'
import { type Answer, Api, doctor, password, patient, world } from '../support/api.ts'
import { copyOf } from '../support/database.ts'

/** How often each race is run: the interleaving that breaks is a rare one. */
const rounds = Array.from({ length: 20 }, (_, round) => round)
const statuses = (answers: Answer[]) => answers.map(({ status }) => status).sort()
const times = <T>(n: number, act: (i: number) => Promise<T>) => Promise.all(Array.from({ length: n }, (_, i) => act(i)))

const { api, url, admin } = await world({ DATABASE_POOL_MAX: '20' })
const other = await Api.start(url, { DATABASE_POOL_MAX: '20' })
/** Two processes in turn: what holds must not hold by the memory of one. */
const either = (i: number) => (i % 2 === 0 ? api : other)

describe('Registration', () => {
  it('many first accounts at once make one administrator', async () => {
    for (const round of rounds.slice(0, 8)) {
      const database = await copyOf(inject('template'))
      const fresh = [await Api.start(database.url), await Api.start(database.url)]
      const answers = await times(8, async (i) => {
        const account = { name: 'First', email: `first.${round}.${i}@example.org`, password }
        return (fresh[i % 2] ?? api).send('POST', '/api/auth/register', account)
      })
      expect(statuses(answers)).toEqual(Array(8).fill(201))
      expect(answers.filter((answer) => answer.at('user.role') === 'admin')).toHaveLength(1)
      for (const one of fresh) await one.stop()
      await database.stop()
    }
  })

  it('an e-mail address is given to one account', async () => {
    for (const round of rounds) {
      const answers = await times(6, (i) =>
        either(i).send('POST', '/api/auth/register', { name: 'Same', email: `same.${round}@example.org`, password }),
      )
      expect(statuses(answers)).toEqual([201, 409, 409, 409, 409, 409])
    }
  })
})

describe('Administrators', () => {
  it('administrators who demote or deactivate each other at the same moment leave one', async () => {
    for (const round of rounds) {
      const second = await admin.post('/api/users', {
        name: 'Second',
        email: `second.${round}@example.org`,
        password,
        role: 'admin',
      })
      const signedIn = await other.send('POST', '/api/auth/login', { email: second.string('email'), password })
      const change = round % 2 === 0 ? { role: 'patient' } : { active: false }
      const answers = await Promise.all([
        api.send('PATCH', `/api/users/${second.id}`, change, { token: admin.access }),
        other.send('PATCH', `/api/users/${admin.id}`, change, { token: signedIn.string('access') }),
      ])
      const [row] = await api.db.execute<{ admins: number }>(
        sql`select count(*)::int as admins from users where role = 'admin' and active`,
      )
      expect(row?.admins).toBe(1)
      expect(statuses(answers).filter((status) => status === 200)).toHaveLength(1)
      await api.db.execute(
        sql`update users set role = case when id = ${admin.id} then 'admin'::role else 'patient'::role end, active = true`,
      )
      await api.db.execute(sql`update sessions set revoked_at = null where user_id = ${admin.id}`)
      for (const process of [api, other]) process.env.authenticationCache.forget({ user: admin.id })
    }
  })
})

describe('Refreshing', () => {
  it('one token that is used twenty times at once leaves one live lineage', async () => {
    for (const _ of rounds) {
      const person = await api.register('Tabs')
      const answers = await times(20, (i) => either(i).send('POST', '/api/auth/refresh', { refresh: person.refresh }))
      expect(statuses(answers)).toEqual(Array(20).fill(200))
      expect(new Set(answers.map((answer) => answer.string('refresh'))).size).toBe(1)
      const next = await api.send('POST', '/api/auth/refresh', { refresh: answers[0]?.string('refresh') })
      expect(next.status).toBe(200)
    }
  })

  it('a stolen token that is used many times at once revokes the session for good', async () => {
    for (const _ of rounds) {
      const person = await api.register('Thief')
      const renewed = await api.send('POST', '/api/auth/refresh', { refresh: person.refresh })
      await api.db.execute(
        sql`update sessions set rotated_at = rotated_at - interval '11 seconds' where user_id = ${person.id}`,
      )
      const answers = await times(6, (i) => either(i).send('POST', '/api/auth/refresh', { refresh: person.refresh }))
      expect(statuses(answers)).toEqual(Array(6).fill(401))
      expect((await api.send('POST', '/api/auth/refresh', { refresh: renewed.string('refresh') })).status).toBe(401)
    }
  })
})

describe('Duplicates', () => {
  it('many requests at once make one mapping, one licence and one link', async () => {
    for (const round of rounds) {
      const [who, by] = [await admin.post('/api/patients', patient()), await admin.post('/api/doctors', doctor())]
      const mapped = await times(6, (i) =>
        either(i).send('POST', '/api/mappings', { patientId: who.id, doctorId: by.id }, { token: admin.access }),
      )
      expect(statuses(mapped)).toEqual([201, 409, 409, 409, 409, 409])
      const licensed = await times(4, (i) =>
        either(i).send('POST', '/api/doctors', doctor({ licenseNumber: `L-${round}` }), { token: admin.access }),
      )
      expect(statuses(licensed)).toEqual([201, 409, 409, 409])
      const person = await api.register('Self')
      const selves = await times(4, (i) =>
        either(i).send('POST', '/api/patients', patient({ self: true }), { token: person.access }),
      )
      expect(statuses(selves)).toEqual([201, 409, 409, 409])
    }
  })

  it('many deletions at once delete once, and many restorations restore once', async () => {
    for (const _ of rounds) {
      const who = await admin.post('/api/patients', patient())
      const path = `/api/patients/${who.id}`
      const deleted = await times(4, (i) => either(i).send('DELETE', path, undefined, { token: admin.access }))
      expect(statuses(deleted)).toEqual([204, 404, 404, 404])
      const restored = await times(4, (i) =>
        either(i).send('POST', `${path}/restore`, undefined, { token: admin.access }),
      )
      expect(statuses(restored)).toEqual([200, 409, 409, 409])
    }
  })
})

describe('Changes', () => {
  it('changes of different fields at once are all kept', async () => {
    for (const _ of rounds) {
      const who = await admin.post('/api/patients', patient())
      const path = `/api/patients/${who.id}`
      const changes = [
        { phone: '+4930123456' },
        { email: 'pat@example.org' },
        { address: 'Here 1' },
        { bloodGroup: 'A+' },
        { allergies: ['nuts'] },
        { medicalHistory: 'long' },
      ]
      const answers = await times(changes.length, (i) =>
        either(i).send('PATCH', path, changes[i], { token: admin.access }),
      )
      expect(statuses(answers)).toEqual(Array(6).fill(200))
      expect((await admin.get(path)).body).toMatchObject(Object.assign({}, ...changes))
      const trail = await api.db.execute(
        sql`select 1 from audit where resource_id = ${who.id} and action = 'patient.update'`,
      )
      expect(trail).toHaveLength(6)
    }
  })

  const versioned: [string, () => Promise<string>, (n: number) => object, string][] = [
    [
      'a patient',
      async () => `/api/patients/${(await admin.post('/api/patients', patient())).id}`,
      (n) => ({ address: `${n}` }),
      'address',
    ],
    [
      'a doctor',
      async () => `/api/doctors/${(await admin.post('/api/doctors', doctor())).id}`,
      (n) => ({ specialization: `${n}` }),
      'specialization',
    ],
    [
      'an appointment',
      async () => {
        const [patientId, doctorId] = [
          (await admin.post('/api/patients', patient())).id,
          (await admin.post('/api/doctors', doctor())).id,
        ]
        const slot = { startsAt: '2040-01-02T09:00:00.000Z', endsAt: '2040-01-02T09:30:00.000Z' }
        return `/api/appointments/${(await admin.post('/api/appointments', { patientId, doctorId, ...slot })).id}`
      },
      (n) => ({ reason: `${n}` }),
      'reason',
    ],
    [
      'an account',
      async () => `/api/users/${(await api.register('Changed at once')).id}`,
      (n) => ({ name: `${n}` }),
      'name',
    ],
  ]
  it.each(versioned)(
    'of many changes of one version of %s one succeeds, and each entry shows what was there',
    async (_, make, change, field) => {
      for (let round = 0; round < 5; round += 1) {
        const path = await make()
        const etag = (await admin.get(path)).headers.get('ETag') ?? ''
        const conditional = await times(10, (n) =>
          either(n).send('PATCH', path, change(n), { token: admin.access, headers: { 'If-Match': etag } }),
        )
        expect(conditional.map(({ status }) => status).sort()).toEqual([200, ...Array(9).fill(412)])
        const all = await times(10, (n) => either(n).send('PATCH', path, change(100 + n), { token: admin.access }))
        expect(all.map(({ status }) => status)).toEqual(Array(10).fill(200))
        const id = path.split('/').at(-1) ?? ''
        const entries = await api.db.execute<{ before: unknown; after: unknown }>(sql`
        select changes -> ${field} -> 'before' as before, changes -> ${field} -> 'after' as after from audit
        where resource_id = ${id} and action like '%.update'`)
        // Each begins where another ended: none was made of a row that had changed meanwhile.
        expect(new Set(entries.map(({ before }) => before)).size).toBe(11)
        expect(new Set(entries.map(({ after }) => after)).size).toBe(11)
      }
    },
  )

  it('of many changes of one version of one’s own account one succeeds', async () => {
    for (const _ of rounds.slice(0, 5)) {
      const { access: token } = await api.register('Changed at once')
      const etag = (await api.send('GET', '/api/auth/me', undefined, { token })).headers.get('ETag') ?? ''
      const answers = await times(10, (n) =>
        either(n).send('PATCH', '/api/auth/me', { name: `Name ${n}` }, { token, headers: { 'If-Match': etag } }),
      )
      expect(statuses(answers)).toEqual([200, ...Array(9).fill(412)])
    }
  })

  it('of many changes of a password at once one succeeds, and its reset token is used once', async () => {
    for (const round of rounds.slice(0, 8)) {
      const person = await api.register('Password')
      const changed = await times(4, (i) =>
        either(i).send(
          'POST',
          '/api/auth/password',
          { currentPassword: password, newPassword: `new password ${round} ${i}` },
          { token: person.access },
        ),
      )
      expect(statuses(changed)).toEqual([204, 400, 400, 400])
      const opened = await admin.post(`/api/users/${person.id}/reset-token`)
      const reset = await times(4, (i) =>
        either(i).send('POST', '/api/auth/reset', {
          token: opened.string('token'),
          newPassword: `reset password ${round} ${i}`,
        }),
      )
      expect(statuses(reset)).toEqual([204, 400, 400, 400])
    }
  })
})

describe('A calendar feed', () => {
  it('a feed that is made many times at once has one URL', async () => {
    const { id } = await admin.post('/api/patients', patient())
    for (const _ of rounds) {
      const path = `/api/patients/${id}/calendar-feed`
      const answers = await times(6, (i) => either(i).send('POST', path, undefined, { token: admin.access }))
      expect(statuses(answers)).toEqual(Array(6).fill(201))
      const opened = await times(6, (i) => either(i).send('GET', answers[i]?.string('url') ?? ''))
      expect(statuses(opened)).toEqual([200, 404, 404, 404, 404, 404])
      expect((await admin.get(path)).id).toBe(answers[opened.findIndex(({ status }) => status === 200)]?.id)
    }
  })

  it('a feed that is deleted many times at once is deleted once, with one entry', async () => {
    const { id } = await admin.post('/api/patients', patient())
    const path = `/api/patients/${id}/calendar-feed`
    for (const round of rounds) {
      await admin.post(path)
      const answers = await times(6, (i) => either(i).send('DELETE', path, undefined, { token: admin.access }))
      expect(statuses(answers)).toEqual([204, 404, 404, 404, 404, 404])
      const entries = await api.db.execute(sql`select from audit where action = 'feed.delete' and patient_id = ${id}`)
      expect(entries).toHaveLength(round + 1)
    }
  })
})

describe('The throttle', () => {
  it('the throttle counts a hundred sign-ins at once as a hundred, and never fails', async () => {
    const answers = await times(100, (i) =>
      either(i).send('POST', '/api/auth/login', { email: 'flood@example.org', password: 'wrong password' }),
    )
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(10)
    expect(answers.filter(({ status }) => status === 429)).toHaveLength(90)
  })
})
