import { sql } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import * as z from 'zod'
import { app } from '../src/app.ts'
import { type ValidatorMetadata, validatorMetadata } from '../src/http/operation-description.ts'
import { doctor, type Person, patient, world } from './support/api.ts'

const { api, admin } = await world()

const route = ({ method, path }: { method: string; path: string }) => `${method} ${path.replace(/(?<=.)\/$/, '')}`
const routes = app.routes.filter(({ method }) => method !== 'ALL')
const takenBy = (handler: object): ValidatorMetadata | undefined => Reflect.get(handler, validatorMetadata)

/** The routes with a patient in their path, and those with one in their query. */
const inPath = [...new Set(routes.map(route))].filter((name) => name.includes(' /api/patients/:id'))
const inQuery = routes.flatMap(({ handler, ...named }) => {
  const validator = takenBy(handler)
  const { schema } = validator ?? {}
  return validator?.target === 'query' && schema instanceof z.ZodObject && 'patientId' in schema.shape
    ? [route(named)]
    : []
})

/** Those below a patient's path that a token in the URL opens, whoever sends it. */
const byToken = ['GET /api/patients/:id/calendar.ics']
/** Reads of a record of a patient's whose id is not the patient's. */
const ofRecord = [
  ...['GET', 'DELETE'].map((method) => `${method} /api/mappings/:id`),
  ...['GET', 'PATCH'].map((method) => `${method} /api/appointments/:id`),
  ...['GET', 'DELETE'].map((method) => `${method} /api/reports/:id`),
  'GET /api/reports/:id/content',
]

const split = (name: string): [method: string, path: string] => {
  const [method = '', path = ''] = name.split(' ')
  return [method, path]
}

/** What the trail has of one request: its rows by whom they are about. */
async function rowsOf(by: Person, method: string, path: string, body?: unknown) {
  const id = crypto.randomUUID()
  const answer = await api.send(method, path, body, { token: by.access, headers: { 'X-Request-Id': id } })
  await api.env.auditWriter.flush()
  const found = await api.db.execute<{ action: string; about: string }>(
    sql`select action, to_jsonb(array_remove(array_append(patient_ids, patient_id), null)) as about from audit where request_id = ${id}`,
  )
  return { status: answer.status, rows: found.map(({ action, about }) => ({ action, about: JSON.parse(about) })) }
}

const newPatient = async () => (await admin.post('/api/patients', patient())).id
const stranger = await api.register('Stranger')
const treating = await api.register('Treating')
await admin.patch(`/api/users/${treating.id}`, { role: 'doctor' })
const profile = (await admin.post('/api/doctors', doctor({ userId: treating.id }))).id

/** A record of each kind of the patient's, as the routes of {@link ofRecord} name it. */
async function recordOf(path: string, patientId: string): Promise<string> {
  if (path.startsWith('/api/mappings')) return (await admin.post('/api/mappings', { patientId, doctorId: profile })).id
  if (path.startsWith('/api/appointments')) {
    const times = { startsAt: '2099-01-01T09:00:00Z', endsAt: '2099-01-01T10:00:00Z' }
    const doctorId = (await admin.post('/api/doctors', doctor())).id
    return (await admin.post('/api/appointments', { patientId, doctorId, ...times })).id
  }
  const form = new FormData()
  form.append('title', 'A report')
  form.append('kind', 'lab')
  form.append('file', new Blob(['text']), 'report.txt')
  return (await admin.post(`/api/patients/${patientId}/reports`, form)).id
}

describe('Audit entries of refused requests', () => {
  it('every route that names a patient is tried here', () => {
    expect(inPath.length).toBeGreaterThan(10)
    expect(inQuery).toEqual(['GET /api/mappings', 'GET /api/appointments', 'GET /api/audit'])
    expect(inPath).toEqual(expect.arrayContaining(byToken))
  })

  it.each(inPath.filter((name) => !byToken.includes(name)))(
    'a request of a stranger is logged for the patient in its path: %s',
    async (name) => {
      const [method, path] = split(name)
      const id = await newPatient()
      for (const spelt of [id, id.toUpperCase()]) {
        const { status, rows } = await rowsOf(stranger, method, path.replace(':id', spelt))
        expect([403, 404]).toContain(status)
        expect(rows).toEqual([{ action: 'auth.denied', about: [id] }])
      }
    },
  )

  it.each(['DELETE /api/patients/:id', 'POST /api/patients/:id/restore', 'GET /api/patients/:id/audit'])(
    'a request of someone who sees the patient and may not do it is logged for the patient: %s',
    async (name) => {
      const [method, path] = split(name)
      const id = await newPatient()
      await admin.post('/api/mappings', { patientId: id, doctorId: profile })
      const { status, rows } = await rowsOf(treating, method, path.replace(':id', id))
      expect([status, rows]).toEqual([403, [{ action: 'auth.denied', about: [id] }]])
    },
  )

  it('a request that is refused for the role is logged for the patient in its query', async () => {
    const id = await newPatient()
    const { status, rows } = await rowsOf(stranger, 'GET', `/api/audit?patientId=${id}`)
    expect([status, rows]).toEqual([403, [{ action: 'auth.denied', about: [id] }]])
  })

  it.each(ofRecord)('a refused request for a record is logged for the record’s patient: %s', async (name) => {
    const [method, path] = split(name)
    const id = await newPatient()
    const record = await recordOf(path, id)
    const body = method === 'PATCH' ? { reason: 'x' } : undefined
    const { status, rows } = await rowsOf(stranger, method, path.replace(':id', record), body)
    expect([status, rows]).toEqual([404, [{ action: 'auth.denied', about: [id] }]])
  })

  it('a refused request at the path of a mapping is logged for the patient whose id it holds, if there is one', async () => {
    const id = await newPatient()
    expect((await rowsOf(stranger, 'GET', `/api/mappings/${id}`)).rows).toEqual([
      { action: 'auth.denied', about: [id] },
    ])
    const absent = '01890000-0000-7000-8000-000000000000'
    expect((await rowsOf(stranger, 'GET', `/api/mappings/${absent}`)).rows).toEqual([
      { action: 'auth.denied', about: [] },
    ])
  })

  it('a refused request is logged for the patient in its body', async () => {
    const id = await newPatient()
    const doctorId = (await admin.post('/api/doctors', doctor())).id
    const mapping = { patientId: id, doctorId }
    const appointment = { ...mapping, startsAt: '2099-01-01T09:00:00Z', endsAt: '2099-01-01T10:00:00Z' }
    const denied = [{ action: 'auth.denied', about: [id] }]
    expect(await rowsOf(stranger, 'POST', '/api/mappings', mapping)).toEqual({ status: 400, rows: denied })
    expect(await rowsOf(stranger, 'POST', '/api/appointments', appointment)).toEqual({ status: 400, rows: denied })
    await admin.post('/api/mappings', { patientId: id, doctorId: profile })
    expect(await rowsOf(treating, 'POST', '/api/mappings', mapping)).toEqual({ status: 403, rows: denied })
  })
})

describe('Audit entries of requests that show nothing', () => {
  const lists = inPath.filter((name) => /^GET .*:id\/(doctors|reports|audit)$/.test(name))

  it.each(lists)('an empty list is logged for the patient in its path: %s', async (name) => {
    const id = await newPatient()
    const { status, rows } = await rowsOf(admin, 'GET', split(name)[1].replace(':id', id))
    expect(status).toBe(200)
    expect(rows).toEqual([{ action: expect.stringMatching(/\.list$/), about: [id] }])
  })

  it.each(inQuery)('an empty list is logged for the patient in its query: %s', async (name) => {
    const id = await newPatient()
    const [, path] = split(name)
    for (const by of [admin, ...(path === '/api/audit' ? [] : [stranger, treating])]) {
      const { status, rows } = await rowsOf(by, 'GET', `${path}?patientId=${id}`)
      expect(status).toBe(200)
      expect(rows).toEqual([{ action: expect.stringMatching(/\.list$/), about: [id] }])
    }
  })

  it('an empty list at the path of a mapping is logged for the patient whose id it holds', async () => {
    const id = await newPatient()
    const { status, rows } = await rowsOf(admin, 'GET', `/api/mappings/${id}/`)
    expect([status, rows]).toEqual([200, [{ action: 'mapping.read', about: [id] }]])
  })
})

describe('A patient’s own audit log', () => {
  it('a patient’s own audit log names no other patient, also for lists that showed several', async () => {
    const person = await api.register('Owner')
    const [one, two] = [(await person.post('/api/patients', patient())).id, await newPatient()]
    const inDays = (days: number) => new Date(Date.now() + days * 86_400_000).toISOString()
    const times = (days: number) => ({ startsAt: inDays(days), endsAt: inDays(days + 0.1) })
    for (const [index, patientId] of [one, two].entries()) {
      await admin.post('/api/mappings', { patientId, doctorId: profile })
      await admin.post('/api/appointments', { patientId, doctorId: profile, ...times(index + 1) })
    }
    const feed = await treating.post(`/api/doctors/${profile}/calendar-feed`)
    for (const path of ['/api/patients', '/api/mappings', '/api/appointments', `/api/doctors/${profile}/patients`])
      await treating.get(path)
    await api.send('GET', feed.string('url'))
    await api.env.auditWriter.flush()
    const path = `/api/patients/${one}/audit?limit=100&count=true`
    const [own, all] = [await person.get(path), await admin.get(`/api/audit?patientId=${one}&limit=100&count=true`)]
    expect(all.text).toContain(two)
    for (const answer of [own, await admin.get(path)]) expect(answer.text).not.toContain(two)
    const lists = ['patient.list', 'mapping.list', 'appointment.list', 'mapping.list', 'appointment.list']
    expect(
      own
        .list()
        .filter((entry) => Object(entry).patientIds !== null)
        .map((entry) => Object(entry).action)
        .sort(),
    ).toEqual(lists.sort())
    expect(own.each('patientIds')).toContainEqual([one])
    expect(own.each('id')).toEqual(all.each('id').slice(-own.list().length))
    expect(own.at('count')).toBe(own.list().length)
    // Page by page it is the same.
    const pages: unknown[] = []
    for (let next: unknown = `/api/patients/${one}/audit?limit=3`; typeof next === 'string'; ) {
      const page = await person.get(next)
      pages.push(...page.each('id'))
      next = page.at('next')
    }
    expect(pages).toEqual(expect.arrayContaining(own.each('id')))
  })

  it.each(ofRecord)(
    'a patient’s own audit log tells neither whether a record of another exists nor whose it is: %s',
    async (name) => {
      const [method, path] = split(name)
      const person = await api.register('Owner')
      const { id } = await person.post('/api/patients', patient())
      const other = await newPatient()
      const tried = [await recordOf(path, other), crypto.randomUUID()]
      for (const record of tried) {
        const { status } = await person.api.send(method, `${path.replace(':id', record)}?patientId=${id}`, undefined, {
          token: person.access,
        })
        expect(status).toBe(404)
      }
      await api.env.auditWriter.flush()
      const own = await person.get(`/api/patients/${id}/audit`)
      const [first, second] = own.list().filter((entry) => Object(entry).action === 'auth.denied')
      const same = { patientIds: [id], patientId: null, resourceId: null, changes: null, status: 404 }
      expect([first, second]).toMatchObject([same, same])
      expect(own.text).not.toContain(other)
    },
  )
})
