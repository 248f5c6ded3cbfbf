import { createHash } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { count, sql } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { appointments } from '../src/features/appointments/schema.ts'
import { users } from '../src/features/auth/schema.ts'
import { doctors } from '../src/features/doctors/schema.ts'
import { mappings } from '../src/features/mappings/schema.ts'
import { patients } from '../src/features/patients/schema.ts'
import { reports } from '../src/features/reports/schema.ts'
import { idempotencyRecords } from '../src/idempotency/schema.ts'
import { type Answer, Api, doctor, type Person, password, patient, secret, world } from './support/api.ts'
import { expectProblem } from './wellformed.ts'

// One connection: a create that asked for another within its transaction would wait for ever.
const { api, url, admin } = await world({ DATABASE_POOL_MAX: '1' })

const newKey = () => crypto.randomUUID()
const keyed = (key: string) => ({ 'Idempotency-Key': key })
const addPatient = async (by: Person = admin) => (await by.post('/api/patients', patient())).id
const addDoctor = async (more = {}) => (await admin.post('/api/doctors', doctor(more))).id
const asDoctor = async (name: string) => {
  const person = await api.register(name)
  await admin.patch(`/api/users/${person.id}`, { role: 'doctor' })
  return { person, doctorId: await addDoctor({ userId: person.id }) }
}

const day = 86_400_000
let hours = 0
/** An hour to come that no other test books. */
const anHour = () => {
  hours += 1
  const from = Math.ceil(Date.now() / day) * day + hours * 3_600_000
  return { startsAt: new Date(from).toISOString(), endsAt: new Date(from + 3_600_000).toISOString() }
}

const form = (text = 'Haemoglobin 14', title = 'Blood count', name = 'blood.txt') => {
  const made = new FormData()
  made.append('title', title)
  made.append('kind', 'lab')
  made.append('file', new Blob([text]), name)
  return made
}

const account = (name: string) => ({ name, email: `${crypto.randomUUID()}@example.org`, password, role: 'patient' })

/** Each create there is: the table that it fills, what is sent, and what else could be. */
const creates = {
  users: { table: users, request: () => ({ path: '/api/users', body: account('A'), other: account('B') }) },
  patients: {
    table: patients,
    request: () => ({ path: '/api/patients', body: patient(), other: patient({ gender: 'male' }) }),
  },
  doctors: { table: doctors, request: () => ({ path: '/api/doctors', body: doctor(), other: doctor() }) },
  mappings: {
    table: mappings,
    request: async () => {
      const [patientId, one, two] = [await addPatient(), await addDoctor(), await addDoctor()]
      return { path: '/api/mappings', body: { patientId, doctorId: one }, other: { patientId, doctorId: two } }
    },
  },
  appointments: {
    table: appointments,
    request: async () => {
      const with_ = { patientId: await addPatient(), doctorId: await addDoctor() }
      return { path: '/api/appointments', body: { ...with_, ...anHour() }, other: { ...with_, ...anHour() } }
    },
  },
  reports: {
    table: reports,
    request: async () => ({
      path: `/api/patients/${await addPatient()}/reports`,
      body: form(),
      other: form('Haemoglobin 15'),
    }),
  },
}
const names = ['users', 'patients', 'doctors', 'mappings', 'appointments', 'reports'] as const

const rows = async (name: (typeof names)[number]) => {
  const [row] = await api.db.select({ rows: count() }).from(creates[name].table)
  return row?.rows ?? 0
}
const replayed = (answer: Answer) => answer.headers.get('Idempotent-Replayed')

function expectRefused(answer: Answer, status: number, type: string) {
  expectProblem(answer, status)
  expect(answer.at('type')).toBe(`/problems/${type}`)
}

function expectSame(again: Answer, first: Answer) {
  expect(first.status, first.text).toBe(201)
  expect(replayed(first)).toBeNull()
  expect(again.status, again.text).toBe(201)
  expect(replayed(again)).toBe('true')
  expect(again.text).toBe(first.text)
  for (const header of ['Location', 'ETag', 'Content-Type'])
    expect(again.headers.get(header)).toBe(first.headers.get(header))
}

describe.each(names)('A key with a create of %s', (name) => {
  it('a key makes one record, however often it is sent', async () => {
    const { path, body } = await creates[name].request()
    const before = await rows(name)
    const headers = keyed(newKey())
    const first = await admin.post(path, body, headers)
    expect(first.headers.get('Location')).toBe(`/api/${name}/${first.id}`)
    expectSame(await admin.post(path, body, headers), first)
    expectSame(await admin.post(`${path}/`, body, headers), first)
    expect(await rows(name)).toBe(before + 1)
  })

  it('a key is not taken for another body', async () => {
    const { path, body, other } = await creates[name].request()
    const headers = keyed(newKey())
    const first = await admin.post(path, body, headers)
    const before = await rows(name)
    expectRefused(await admin.post(path, other, headers), 422, 'idempotency-mismatch')
    expect(await rows(name)).toBe(before)
    expectSame(await admin.post(path, body, headers), first)
  })

  it('a malformed key is refused, and nothing is made', async () => {
    const { path, body } = await creates[name].request()
    const before = await rows(name)
    for (const key of ['', 'a b', 'é', 'k'.repeat(256), 'one, two']) {
      const answer = await admin.post(path, body, keyed(key))
      expect(answer.status, key).toBe(400)
      expect(answer.faults).toEqual(['Idempotency-Key'])
    }
    expect(await rows(name)).toBe(before)
    expect((await admin.post(path, body, keyed(`!${'k'.repeat(253)}~`))).status).toBe(201)
  })

  it('a key is good for a day', async () => {
    const { path, body, other } = await creates[name].request()
    const headers = keyed(newKey())
    const first = await admin.post(path, body, headers)
    const age = (by: string) =>
      api.db.execute(
        sql`update ${idempotencyRecords} set created_at = created_at - ${by}::interval where resource_id = ${first.id}`,
      )
    await age('23 hours 59 minutes')
    expectSame(await admin.post(path, body, headers), first)
    await age('1 minute')
    const second = await admin.post(path, other, headers)
    expect(replayed(second)).toBeNull()
    expect(second.id).not.toBe(first.id)
    expectSame(await admin.post(path, other, headers), second)
  })
})

describe('A key', () => {
  it('a key belongs to what a request says, not to how it is written', async () => {
    const headers = { ...keyed(newKey()), 'Content-Type': 'application/json' }
    const first = await admin.post('/api/patients', patient({ phone: '+49 30 901820' }), headers)
    const again = '{ "phone": "+4930901820", "gender": "female", "dateOfBirth": "1980-02-29", "name": " Pat Patient " }'
    expectSame(await admin.post('/api/patients', again, headers), first)
  })

  it('a key belongs to one account', async () => {
    const headers = keyed(newKey())
    const other = await api.register('Other')
    const [mine, theirs] = [
      await admin.post('/api/patients', patient(), headers),
      await other.post('/api/patients', patient(), headers),
    ]
    expect(replayed(theirs)).toBeNull()
    expect(theirs.id).not.toBe(mine.id)
    expect(theirs.at('createdBy')).toBe(other.id)
    expectSame(await other.post('/api/patients', patient(), headers), theirs)
  })

  it('a key belongs to one path, whatever the case of the path’s id', async () => {
    const headers = keyed(newKey())
    const [one, two] = [await addPatient(), await addPatient()]
    const first = await admin.post(`/api/patients/${one}/reports`, form(), headers)
    expectSame(await admin.post(`/api/patients/${one.toUpperCase()}/reports/`, form(), headers), first)
    const second = await admin.post(`/api/patients/${two}/reports`, form(), headers)
    expect(replayed(second)).toBeNull()
    expect(second.at('patientId')).toBe(two)
  })

  it('a refusal is not kept under a key', async () => {
    const { path, body } = await creates.mappings.request()
    const headers = keyed(newKey())
    expect((await admin.post(path, { ...body, doctorId: crypto.randomUUID() }, headers)).status).toBe(400)
    const mapping = await admin.post(path, body)
    expectRefused(await admin.post(path, body, headers), 409, 'conflict')
    await admin.delete(`/api/mappings/${mapping.id}`)
    const first = await admin.post(path, body, headers)
    expectSame(await admin.post(path, body, headers), first)
  })

  it('a key gives the first answer, also after the record has changed', async () => {
    const headers = keyed(newKey())
    const first = await admin.post('/api/patients', patient(), headers)
    await admin.patch(`/api/patients/${first.id}`, { address: 'Here 1' })
    expectSame(await admin.post('/api/patients', patient(), headers), first)
  })

  it('a key makes one record of many requests at once', async () => {
    const headers = keyed(newKey())
    const before = await rows('patients')
    const answers = await Promise.all(Array.from({ length: 20 }, () => admin.post('/api/patients', patient(), headers)))
    const made = answers.filter(({ status }) => status === 201)
    for (const answer of answers) if (!made.includes(answer)) expectRefused(answer, 409, 'idempotency-in-progress')
    expect(made.filter((answer) => !replayed(answer))).toHaveLength(1)
    expect(new Set(made.map(({ id }) => id)).size).toBe(1)
    expect(await rows('patients')).toBe(before + 1)
  })

  it('a key outlives a change of the secret', async () => {
    const headers = keyed(newKey())
    const first = await admin.post('/api/patients', patient(), headers)
    const changed = { JWT_SECRET: `another ${secret}`, JWT_SECRET_PREVIOUS: secret }
    const next = await Api.start(url, changed)
    expectSame(await next.send('POST', '/api/patients', patient(), { token: admin.access, headers }), first)
    await next.stop()
  })

  it('a key does not change a sign-in', async () => {
    const body = { email: admin.email, password }
    const headers = keyed(newKey())
    const sessions = [
      await api.send('POST', '/api/auth/login', body, { headers }),
      await api.send('POST', '/api/auth/login', body, { headers }),
    ]
    expect(sessions.map(({ status }) => status)).toEqual([200, 200])
    expect(sessions[0]?.string('refresh')).not.toBe(sessions[1]?.string('refresh'))
  })
})

describe('A replay', () => {
  const hidden = async (path: string, body: unknown, hide: (made: Answer) => Promise<Answer>, by: Person = admin) => {
    const headers = keyed(newKey())
    const first = await by.post(path, body, headers)
    expect(first.status, first.text).toBe(201)
    const gone = await hide(first)
    expect(gone.status, gone.text).toBeLessThan(300)
    expectRefused(await by.post(path, body, headers), 404, 'not-found')
    return { headers, first }
  }

  it('a replay is a 404 where the record is deleted, and works again once it is restored', async () => {
    for (const name of ['patients', 'doctors'] as const) {
      const { path, body } = creates[name].request()
      const { headers, first } = await hidden(path, body, ({ id }) => admin.delete(`${path}/${id}`))
      await admin.post(`${path}/${first.id}/restore`)
      expectSame(await admin.post(path, body, headers), first)
    }
    const mapping = await creates.mappings.request()
    await hidden(mapping.path, mapping.body, ({ id }) => admin.delete(`/api/mappings/${id}`))
    const report = await creates.reports.request()
    await hidden(report.path, report.body, ({ id }) => admin.delete(`/api/reports/${id}`))
  })

  it('a replay is a 404 for a caller who does not see the record any more', async () => {
    const { person, doctorId } = await asDoctor('Leaving')
    const patientId = await addPatient()
    const grant = await admin.post('/api/mappings', { patientId, doctorId })
    const body = { patientId, doctorId: await addDoctor(), ...anHour() }
    const { first, headers } = await hidden(
      '/api/appointments',
      body,
      () => admin.delete(`/api/mappings/${grant.id}`),
      person,
    )
    await admin.post('/api/mappings', { patientId, doctorId })
    expectSame(await person.post('/api/appointments', body, headers), first)
  })

  it('a replay is refused to a caller who may not create any more', async () => {
    const second = await api.register('Second')
    await admin.patch(`/api/users/${second.id}`, { role: 'admin' })
    const headers = keyed(newKey())
    const body = doctor()
    expect((await second.post('/api/doctors', body, headers)).status).toBe(201)
    await admin.patch(`/api/users/${second.id}`, { role: 'patient' })
    expectRefused(await second.post('/api/doctors', body, headers), 403, 'forbidden')
  })

  it('a replay leaves an audit entry as one more look at the record', async () => {
    for (const name of names) {
      const { path, body } = await creates[name].request()
      const key = newKey()
      const resource = name.slice(0, -1)
      const send = (id: string) => admin.post(path, body, { ...keyed(key), 'X-Request-Id': id })
      const first = await send(`first-${key}`)
      await send(`again-${key}`)
      await api.env.auditWriter.flush()
      const left = async (id: string) =>
        (await admin.get('/api/audit?limit=50')).list().filter((row) => Object(row).requestId === `${id}-${key}`)
      const common = { resource, resourceId: first.id, userId: admin.id, role: 'admin', status: 201 }
      const of = name === 'patients' ? first.id : (first.at('patientId') ?? null)
      expect(await left('first')).toEqual([
        expect.objectContaining({ ...common, action: `${resource}.create`, patientId: of }),
      ])
      expect(await left('again')).toEqual([
        expect.objectContaining({ ...common, action: `${resource}.read`, patientId: of, changes: null }),
      ])
    }
  })
})

describe('An upload with a key', () => {
  it('an upload is the same with the same fields and the same file, and leaves one file', async () => {
    const path = `/api/patients/${await addPatient()}/reports`
    const files = async () => (await readdir(api.folder)).length
    const before = await files()
    const headers = keyed(newKey())
    const first = await admin.post(path, form(), headers)
    expectSame(await admin.post(path, form(), headers), first)
    for (const other of [form('Haemoglobin 15'), form(undefined, 'Blood'), form(undefined, undefined, 'other.txt')])
      expectRefused(await admin.post(path, other, headers), 422, 'idempotency-mismatch')
    expect((await admin.post(path, form(), keyed('no key'))).status).toBe(400)
    expect(await files()).toBe(before + 1)
    const content = await admin.get(`/api/reports/${first.id}/content`)
    expect(content.text).toBe('Haemoglobin 14')
  })
})

describe('What is kept of keys', () => {
  it('nothing is kept of a create without a key', async () => {
    const before = await api.db.$count(idempotencyRecords)
    for (const name of names) {
      const { path, body } = await creates[name].request()
      expect((await admin.post(path, body)).status).toBe(201)
    }
    expect(await api.db.$count(idempotencyRecords)).toBe(before)
  })

  it('what is kept reveals no password and nothing to test guesses of one against', async () => {
    const { path, body } = creates.users.request()
    const { id } = await admin.post(path, body, keyed(newKey()))
    const [row] = await api.db.execute(
      sql`select row_to_json(k)::text as row from idempotency_keys k where resource_id = ${id}`,
    )
    const kept = String(row?.row)
    expect(kept).toContain(body.email)
    expect(kept).not.toContain(password)
    expect(kept).not.toContain('$argon2')
    const { name, email, role } = body
    for (const text of [password, JSON.stringify(body), JSON.stringify({ name, email, role, password })])
      for (const encoding of ['hex', 'base64url', 'base64'] as const)
        expect(kept).not.toContain(createHash('sha256').update(text).digest(encoding))
  })

  it('an old key is deleted after a day, twenty at a time, by creates with a key', async () => {
    await api.db.execute(sql`update ${idempotencyRecords} set created_at = now()`)
    await api.db.execute(sql`insert into ${idempotencyRecords} (user_id, method, path, key, request_hash, resource_id, body, etag, created_at)
      select ${admin.id}, 'POST', '/api/patients', 'old' || n, '', gen_random_uuid(), '{}', '1', now() - interval '24 hours'
      from generate_series(1, 30) as n`)
    const old = () => api.db.$count(idempotencyRecords, sql`key like 'old%'`)
    const young = await api.db.$count(idempotencyRecords, sql`key not like 'old%'`)
    await admin.post('/api/patients', patient(), keyed(newKey()))
    expect(await old()).toBe(10)
    await admin.post('/api/patients', patient(), keyed(newKey()))
    expect(await old()).toBe(0)
    expect(await api.db.$count(idempotencyRecords)).toBe(young + 2)
  })
})
