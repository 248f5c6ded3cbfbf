import { describe, expect, it } from 'vitest'
import { app } from '../src/app.ts'
import { doctor, type Person, password, patient, world } from './support/api.ts'
import { statementsOf } from './support/statements.ts'

const { api, admin } = await world({ DATABASE_POOL_MAX: '1' })

/** Where a request goes, with what and by whom: made anew for each. */
type Request = { path?: () => Promise<string>; body?: () => unknown; by?: () => Promise<Person> }

const account = () => ({ name: 'New Account', email: `${crypto.randomUUID()}@example.org`, password })
const of = (template: string, made: () => Promise<string>) => ({
  path: async () => template.replace(':id', await made()),
})
const newPatient = async () => (await admin.post('/api/patients', patient())).id
const newDoctor = async () => (await admin.post('/api/doctors', doctor())).id
const newUser = async () => (await admin.post('/api/users', { ...account(), role: 'patient' })).id
const pair = async () => ({ patientId: await newPatient(), doctorId: await newDoctor() })
const newMapping = async () => (await admin.post('/api/mappings', await pair())).id
const mapped = (side: 'patientId' | 'doctorId') => async () =>
  (await admin.post('/api/mappings', await pair())).string(side)
const times = { startsAt: '2099-01-01T09:00:00Z', endsAt: '2099-01-01T10:00:00Z' }
const newAppointment = async () => (await admin.post('/api/appointments', { ...(await pair()), ...times })).id
const file = () => {
  const form = new FormData()
  for (const [name, value] of Object.entries({ title: 'Blood', kind: 'lab' })) form.append(name, value)
  form.append('file', new Blob(['text']), 'blood.txt')
  return form
}
const uploaded = async () => admin.post(`/api/patients/${await newPatient()}/reports`, file())
const newReport = async () => (await uploaded()).id
const reported = async () => (await uploaded()).string('patientId')
const withFeed = (side: 'doctors' | 'patients', made: () => Promise<string>) => async () => {
  const id = await made()
  await admin.post(`/api/${side}/${id}/calendar-feed`)
  return id
}
const calendar = (side: 'doctors' | 'patients', made: () => Promise<string>) => async () =>
  (await admin.post(`/api/${side}/${await made()}/calendar-feed`)).string('url')
const deleted = (side: 'doctors' | 'patients', made: () => Promise<string>) => async () => {
  const id = await made()
  await admin.delete(`/api/${side}/${id}`)
  return id
}
const resetToken = async () => (await admin.post(`/api/users/${await newUser()}/reset-token`)).string('token')
const someone = () => api.register('Someone')

/**
 * How many statements each route takes, once its session is known: one, but where a password is looked at or a calendar
 * is opened. A transaction's beginning and end count too.
 */
const table: [route: string, statements: number, request?: Request][] = [
  ['GET /', 0],
  ['GET /healthz', 0],
  ['GET /metrics', 1],
  ['GET /readyz', 1],
  ['GET /openapi.json', 0],
  ['GET /docs', 0],
  ['GET /docs/start.js', 0],
  ['GET /docs/swagger-ui.css', 0],
  ['GET /docs/swagger-ui-bundle.js', 0],

  ['POST /api/auth/register', 2, { body: account }],
  ['POST /api/auth/login', 3, { body: async () => ({ email: (await someone()).email, password }) }],
  ['POST /api/auth/refresh', 1, { body: async () => ({ refresh: (await someone()).refresh }) }],
  ['POST /api/auth/logout', 1, { by: someone }],
  ['POST /api/auth/reset', 9, { body: async () => ({ token: await resetToken(), newPassword: `${password}!` }) }],
  ['GET /api/auth/me', 1],
  ['PATCH /api/auth/me', 2, { by: someone, body: () => ({ name: 'New Name' }) }],
  [
    'POST /api/auth/password',
    10,
    { by: someone, body: () => ({ currentPassword: password, newPassword: `${password}!` }) },
  ],
  ['POST /api/auth/logout-all', 1, { by: someone }],
  ['GET /api/auth/sessions', 1],
  ['DELETE /api/auth/sessions/:id', 1],

  ['GET /api/users', 1],
  ['POST /api/users', 2, { body: () => ({ ...account(), role: 'doctor' }) }],
  ['GET /api/users/:id', 1, of('/api/users/:id', newUser)],
  ['PATCH /api/users/:id', 2, { ...of('/api/users/:id', newUser), body: () => ({ name: 'New Name' }) }],
  ['POST /api/users/:id/reset-token', 2, of('/api/users/:id/reset-token', newUser)],

  ['GET /api/patients', 1],
  ['POST /api/patients', 1, { body: () => patient() }],
  ['GET /api/patients/:id', 1, of('/api/patients/:id', newPatient)],
  ['PUT /api/patients/:id', 1, { ...of('/api/patients/:id', newPatient), body: () => patient() }],
  ['PATCH /api/patients/:id', 1, { ...of('/api/patients/:id', newPatient), body: () => ({ address: 'x' }) }],
  ['DELETE /api/patients/:id', 1, of('/api/patients/:id', newPatient)],
  ['POST /api/patients/:id/restore', 1, of('/api/patients/:id/restore', deleted('patients', newPatient))],
  ['GET /api/patients/:id/doctors', 1, of('/api/patients/:id/doctors', mapped('patientId'))],
  ['GET /api/patients/:id/audit', 2, of('/api/patients/:id/audit', newPatient)],

  ['GET /api/doctors', 1],
  ['POST /api/doctors', 1, { body: () => doctor() }],
  ['GET /api/doctors/:id', 1, of('/api/doctors/:id', newDoctor)],
  ['PUT /api/doctors/:id', 1, { ...of('/api/doctors/:id', newDoctor), body: () => doctor() }],
  ['PATCH /api/doctors/:id', 1, { ...of('/api/doctors/:id', newDoctor), body: () => ({ name: 'New' }) }],
  ['DELETE /api/doctors/:id', 1, of('/api/doctors/:id', newDoctor)],
  ['POST /api/doctors/:id/restore', 1, of('/api/doctors/:id/restore', deleted('doctors', newDoctor))],
  ['GET /api/doctors/:id/patients', 1, of('/api/doctors/:id/patients', mapped('doctorId'))],
  ['GET /api/doctors/:id/slots', 1, of('/api/doctors/:id/slots?from=2099-01-01&to=2099-01-02&minutes=60', newDoctor)],

  ['GET /api/mappings', 1],
  ['POST /api/mappings', 1, { body: pair }],
  ['GET /api/mappings/:id', 1, of('/api/mappings/:id', newMapping)],
  ['DELETE /api/mappings/:id', 1, of('/api/mappings/:id', newMapping)],

  ['GET /api/appointments', 1],
  ['POST /api/appointments', 1, { body: async () => ({ ...(await pair()), ...times }) }],
  ['GET /api/appointments/:id', 1, of('/api/appointments/:id', newAppointment)],
  ['PATCH /api/appointments/:id', 1, { ...of('/api/appointments/:id', newAppointment), body: () => ({ reason: 'x' }) }],

  ['GET /api/patients/:id/reports', 1, of('/api/patients/:id/reports', reported)],
  ['POST /api/patients/:id/reports', 2, { ...of('/api/patients/:id/reports', newPatient), body: file }],
  ['GET /api/reports/:id', 1, of('/api/reports/:id', newReport)],
  ['GET /api/reports/:id/content', 1, of('/api/reports/:id/content', newReport)],
  ['DELETE /api/reports/:id', 1, of('/api/reports/:id', newReport)],

  ['GET /api/doctors/:id/calendar-feed', 1, of('/api/doctors/:id/calendar-feed', withFeed('doctors', newDoctor))],
  ['POST /api/doctors/:id/calendar-feed', 1, of('/api/doctors/:id/calendar-feed', newDoctor)],
  ['DELETE /api/doctors/:id/calendar-feed', 1, of('/api/doctors/:id/calendar-feed', withFeed('doctors', newDoctor))],
  ['GET /api/doctors/:id/calendar.ics', 3, { path: calendar('doctors', newDoctor) }],
  ['GET /api/patients/:id/calendar-feed', 1, of('/api/patients/:id/calendar-feed', withFeed('patients', newPatient))],
  ['POST /api/patients/:id/calendar-feed', 1, of('/api/patients/:id/calendar-feed', newPatient)],
  [
    'DELETE /api/patients/:id/calendar-feed',
    1,
    of('/api/patients/:id/calendar-feed', withFeed('patients', newPatient)),
  ],
  ['GET /api/patients/:id/calendar.ics', 3, { path: calendar('patients', newPatient) }],

  ['GET /api/audit', 1],
]

/** A session of `by` that is not the one that asks. */
async function otherSession(by: Person): Promise<string> {
  await api.send('POST', '/api/auth/login', { email: by.email, password })
  const sessions = await by.get('/api/auth/sessions')
  const at = sessions.each('current').indexOf(false)
  return sessions.string(`results.${at}.id`)
}

describe('each route', () => {
  it('is in the table', () => {
    const routes = app.routes.filter(({ method }) => method !== 'ALL')
    const paths = routes.map(({ method, path }) => `${method} ${path.replace(/(?<=.)\/$/, '')}`)
    expect(new Set(table.map(([route]) => route))).toEqual(new Set(paths))
  })

  it.each(table)('%s takes %i', async (route, statements, { path, body, by } = {}) => {
    const [method = '', template = ''] = route.split(' ')
    const person = (await by?.()) ?? admin
    const url = template.includes('/sessions/:id')
      ? template.replace(':id', await otherSession(person))
      : ((await path?.()) ?? template)
    const content = await body?.()
    // From now on its session is known, as it is on all requests but one in four seconds.
    api.env.authenticationCache.forget({ user: person.id })
    await person.get('/api/auth/me')
    const { result, sent } = await statementsOf(api.db, () => api.send(method, url, content, { token: person.access }))
    expect(result.status, result.text).toBeLessThan(300)
    expect(sent, sent.map(({ text }) => text).join('\n')).toHaveLength(statements)
  })
})

describe('a list', () => {
  it.each([
    ['/api/patients', 1],
    ['/api/patients?limit=100', 1],
    ['/api/patients?q=pat', 1],
    ['/api/patients?count=true', 2],
    ['/api/doctors/DOCTOR/patients', 1],
    ['/api/mappings?doctorId=DOCTOR', 1],
    ['/api/mappings?doctorId=DOCTOR&count=true', 2],
    ['/api/audit', 1],
  ])('%s takes %i, whatever its length', async (template, statements) => {
    const doctorId = await newDoctor()
    const path = template.replace('DOCTOR', doctorId)
    const lengths: number[] = []
    for (const more of [1, 30]) {
      for (let made = 0; made < more; made += 1)
        await admin.post('/api/mappings', { patientId: await newPatient(), doctorId })
      await admin.get('/api/auth/me')
      const { result, sent } = await statementsOf(api.db, () => admin.get(path))
      lengths.push(result.list().length)
      expect(sent, sent.map(({ text }) => text).join('\n')).toHaveLength(statements)
    }
    if (template.includes('DOCTOR')) expect(lengths).toEqual([1, 31])
  })

  it.each(['patients', 'doctors', 'mappings', 'appointments', 'users', 'audit'])(
    'of %s asks for no column twice, also for its place in the order',
    async (list) => {
      await admin.get('/api/auth/me')
      const { sent } = await statementsOf(api.db, () => admin.get(`/api/${list}`))
      const text = sent[0]?.text ?? ''
      const columns = text.slice(0, text.indexOf(' from "')).match(/(?:"\w+"\.)?"\w+"/g) ?? []
      expect(columns.length).toBeGreaterThan(5)
      expect(columns).toEqual([...new Set(columns)])
    },
  )
})
