import { sql } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { findUnguardedRoutes } from '../src/access/can.ts'
import { app } from '../src/app.ts'
import { type Answer, doctor, type Person, password, patient, world } from './support/api.ts'

const { api, admin: root } = await world({ PATIENTS_PER_ACCOUNT_DAY: '0' })

const absent = '01890000-0000-7000-8000-000000000000'

/** Who asks. The patient of the scene is treated by one doctor, was added by one account and is another's own. */
const callers = ['nobody', 'admin', 'treats', 'otherDoctor', 'added', 'is', 'stranger'] as const
type Who = (typeof callers)[number]

/** What there is while one of them asks. `doctor` is the caller's own profile where they are the doctor who `treats`. */
type Scene = { caller: Person; patient: string; doctor: string; mapping: string; someone: Person }

/** What a request to the route needs: what stands for `:id`, a query and a body. */
type Request = { id?: (scene: Scene) => string | Promise<string>; query?: string; body?: (scene: Scene) => unknown }

const ofPatient = { id: (scene: Scene) => scene.patient }
const ofDoctor = { id: (scene: Scene) => scene.doctor }
const ofMapping = { id: (scene: Scene) => scene.mapping }
const ofSomeone = { id: (scene: Scene) => scene.someone.id }
const account = () => ({ name: 'New Account', email: `${crypto.randomUUID()}@example.org`, password })
const sessionOf = async (person: Person) => (await person.get('/api/auth/sessions')).string('results.0.id')
const newAppointment = async ({ patient }: Scene) => ({
  patientId: patient,
  doctorId: (await root.post('/api/doctors', doctor())).id,
  startsAt: '2099-01-01T09:00:00Z',
  endsAt: '2099-01-01T10:00:00Z',
})
/** With a doctor who is none of the callers. */
const ofAppointment = {
  id: async (scene: Scene) => (await root.post('/api/appointments', await newAppointment(scene))).id,
}
const report = () => {
  const form = new FormData()
  form.append('title', secretName)
  form.append('kind', 'lab')
  form.append('file', new Blob([secretName]), `${secretName}.txt`)
  return form
}
/** A report that whoever added the patient uploaded. */
const ofReport = {
  id: async ({ patient }: Scene) => (await troupe.added.post(`/api/patients/${patient}/reports`, report())).id,
}
/** After whoever asks has made a feed of it, as far as they may; and so has an administrator. */
const withFeed = ({ id }: { id: (scene: Scene) => string }, path: string) => ({
  id: async (scene: Scene) => {
    for (const maker of [scene.caller, root]) await maker.post(`${path}/${id(scene)}/calendar-feed`)
    return id(scene)
  },
})
const oneDay = '?from=2099-01-01&to=2099-01-01&minutes=60'
const deleted = async (path: string, id: string) => {
  await root.delete(`${path}/${id}`)
  return id
}

/** The answer of every route to each of the `callers`. A route may have several rows. */
const table: [route: string, answers: number[], request?: Request][] = [
  ['GET /', [200, 200, 200, 200, 200, 200, 200]],
  ['GET /healthz', [200, 200, 200, 200, 200, 200, 200]],
  ['GET /openapi.json', [200, 200, 200, 200, 200, 200, 200]],
  ...['/docs', '/docs/start.js', '/docs/swagger-ui.css', '/docs/swagger-ui-bundle.js'].map(
    (path): [string, number[]] => [`GET ${path}`, [200, 200, 200, 200, 200, 200, 200]],
  ),
  ['GET /metrics', [200, 200, 200, 200, 200, 200, 200]],
  ['GET /readyz', [200, 200, 200, 200, 200, 200, 200]],

  ['POST /api/auth/register', [201, 201, 201, 201, 201, 201, 201], { body: account }],
  [
    'POST /api/auth/login',
    [200, 200, 200, 200, 200, 200, 200],
    { body: ({ someone }) => ({ email: someone.email, password }) },
  ],
  [
    'POST /api/auth/refresh',
    [200, 200, 200, 200, 200, 200, 200],
    { body: ({ caller }) => ({ refresh: caller.refresh }) },
  ],
  ['POST /api/auth/logout', [204, 204, 204, 204, 204, 204, 204]],
  [
    'POST /api/auth/reset',
    [204, 204, 204, 204, 204, 204, 204],
    {
      body: async ({ someone }) => ({
        token: (await root.post(`/api/users/${someone.id}/reset-token`)).string('token'),
        newPassword: `${password}!`,
      }),
    },
  ],
  ['GET /api/auth/me', [401, 200, 200, 200, 200, 200, 200]],
  ['PATCH /api/auth/me', [401, 200, 200, 200, 200, 200, 200], { body: () => ({ name: 'New Name' }) }],
  [
    'POST /api/auth/password',
    [401, 204, 204, 204, 204, 204, 204],
    { body: () => ({ currentPassword: password, newPassword: `${password}!` }) },
  ],
  ['POST /api/auth/logout-all', [401, 204, 204, 204, 204, 204, 204]],
  ['GET /api/auth/sessions', [401, 200, 200, 200, 200, 200, 200]],
  ['DELETE /api/auth/sessions/:id', [401, 204, 204, 204, 204, 204, 204], { id: ({ caller }) => sessionOf(caller) }],
  ['DELETE /api/auth/sessions/:id', [401, 404, 404, 404, 404, 404, 404], { id: ({ someone }) => sessionOf(someone) }],

  ['GET /api/users', [401, 200, 403, 403, 403, 403, 403]],
  ['POST /api/users', [401, 201, 403, 403, 403, 403, 403], { body: () => ({ ...account(), role: 'doctor' }) }],
  ['GET /api/users/:id', [401, 200, 403, 403, 403, 403, 403], ofSomeone],
  ['GET /api/users/:id', [401, 200, 403, 403, 403, 403, 403], { id: ({ caller }) => caller.id }],
  ['PATCH /api/users/:id', [401, 200, 403, 403, 403, 403, 403], { ...ofSomeone, body: () => ({ role: 'admin' }) }],
  ['POST /api/users/:id/reset-token', [401, 201, 403, 403, 403, 403, 403], ofSomeone],

  ['GET /api/patients', [401, 200, 200, 200, 200, 200, 200]],
  ['POST /api/patients', [401, 201, 201, 201, 201, 201, 201], { body: () => patient() }],
  ['GET /api/patients/:id', [401, 200, 200, 404, 200, 200, 404], ofPatient],
  ['PUT /api/patients/:id', [401, 200, 200, 404, 200, 200, 404], { ...ofPatient, body: () => patient() }],
  ['PATCH /api/patients/:id', [401, 200, 200, 404, 200, 200, 404], { ...ofPatient, body: () => ({ address: 'x' }) }],
  ['DELETE /api/patients/:id', [401, 204, 403, 404, 204, 403, 404], ofPatient],
  [
    'POST /api/patients/:id/restore',
    [401, 200, 403, 403, 403, 403, 403],
    { id: (scene) => deleted('/api/patients', scene.patient) },
  ],
  ['GET /api/patients/:id/doctors', [401, 200, 200, 404, 200, 200, 404], ofPatient],
  ['GET /api/patients/:id/audit', [401, 200, 403, 403, 200, 200, 404], ofPatient],

  ['GET /api/doctors', [401, 200, 200, 200, 200, 200, 200]],
  ['POST /api/doctors', [401, 201, 403, 403, 403, 403, 403], { body: () => doctor() }],
  ['GET /api/doctors/:id', [401, 200, 200, 200, 200, 200, 200], ofDoctor],
  ['PUT /api/doctors/:id', [401, 200, 200, 403, 403, 403, 403], { ...ofDoctor, body: () => doctor() }],
  ['PATCH /api/doctors/:id', [401, 200, 200, 403, 403, 403, 403], { ...ofDoctor, body: () => ({ name: 'New' }) }],
  ['DELETE /api/doctors/:id', [401, 204, 403, 403, 403, 403, 403], ofDoctor],
  [
    'POST /api/doctors/:id/restore',
    [401, 200, 403, 403, 403, 403, 403],
    { id: async () => deleted('/api/doctors', (await root.post('/api/doctors', doctor())).id) },
  ],
  ['GET /api/doctors/:id/patients', [401, 200, 200, 200, 200, 200, 200], ofDoctor],

  ['GET /api/mappings', [401, 200, 200, 200, 200, 200, 200]],
  [
    'POST /api/mappings',
    [401, 201, 403, 400, 201, 201, 400],
    { body: async ({ patient }) => ({ patientId: patient, doctorId: (await root.post('/api/doctors', doctor())).id }) },
  ],
  ['GET /api/mappings/:id', [401, 200, 200, 404, 200, 200, 404], ofMapping],
  ['GET /api/mappings/:id', [401, 200, 200, 404, 200, 200, 404], ofPatient],
  ['DELETE /api/mappings/:id', [401, 204, 204, 404, 204, 204, 404], ofMapping],

  ['GET /api/doctors/:id/slots', [401, 200, 200, 200, 200, 200, 200], { ...ofDoctor, query: oneDay }],
  ['GET /api/appointments', [401, 200, 200, 200, 200, 200, 200]],
  ['POST /api/appointments', [401, 201, 201, 400, 201, 201, 400], { body: newAppointment }],
  ['GET /api/appointments/:id', [401, 200, 200, 404, 200, 200, 404], ofAppointment],
  [
    'PATCH /api/appointments/:id',
    [401, 200, 200, 404, 200, 200, 404],
    { ...ofAppointment, body: () => ({ reason: 'x' }) },
  ],
  [
    'PATCH /api/appointments/:id',
    [401, 200, 403, 404, 403, 403, 404],
    { ...ofAppointment, body: () => ({ notes: 'x' }) },
  ],

  ['GET /api/patients/:id/reports', [401, 200, 200, 404, 200, 200, 404], ofPatient],
  ['POST /api/patients/:id/reports', [401, 201, 201, 404, 201, 201, 404], { ...ofPatient, body: report }],
  ['GET /api/reports/:id', [401, 200, 200, 404, 200, 200, 404], ofReport],
  ['GET /api/reports/:id/content', [401, 200, 200, 404, 200, 200, 404], ofReport],
  ['DELETE /api/reports/:id', [401, 204, 403, 404, 204, 403, 404], ofReport],

  ['GET /api/doctors/:id/calendar-feed', [401, 200, 200, 403, 403, 403, 403], withFeed(ofDoctor, '/api/doctors')],
  ['POST /api/doctors/:id/calendar-feed', [401, 201, 201, 403, 403, 403, 403], ofDoctor],
  ['DELETE /api/doctors/:id/calendar-feed', [401, 204, 204, 403, 403, 403, 403], withFeed(ofDoctor, '/api/doctors')],
  ['GET /api/doctors/:id/calendar.ics', [404, 404, 404, 404, 404, 404, 404], withFeed(ofDoctor, '/api/doctors')],
  ['GET /api/patients/:id/calendar-feed', [401, 200, 200, 404, 200, 200, 404], withFeed(ofPatient, '/api/patients')],
  ['POST /api/patients/:id/calendar-feed', [401, 201, 201, 404, 201, 201, 404], ofPatient],
  ['DELETE /api/patients/:id/calendar-feed', [401, 204, 204, 404, 204, 204, 404], withFeed(ofPatient, '/api/patients')],
  ['GET /api/patients/:id/calendar.ics', [404, 404, 404, 404, 404, 404, 404], withFeed(ofPatient, '/api/patients')],

  ['GET /api/audit', [401, 200, 403, 403, 403, 403, 403]],
]

type Cast = Record<Exclude<Who, 'nobody' | 'is'> | 'someone', Person> & { profile: string }

async function newCast(): Promise<Cast> {
  const [admin, treats, otherDoctor] = [await api.register('A'), await api.register('T'), await api.register('O')]
  await api.db.execute(sql`update users set role = 'admin' where id = ${admin.id}`)
  await api.db.execute(sql`update users set role = 'doctor' where id in (${treats.id}, ${otherDoctor.id})`)
  const profile = (await root.post('/api/doctors', doctor({ userId: treats.id }))).id
  await root.post('/api/doctors', doctor({ userId: otherDoctor.id }))
  const [added, stranger, someone] = [await api.register('B'), await api.register('S'), await api.register('X')]
  return { admin, treats, otherDoctor, added, stranger, someone, profile }
}

/** Those who play in every row that leaves accounts and sessions alone. */
const troupe = await newCast()
const castFor = (route: string) => (/ \/api\/(auth|users)/.test(route) ? newCast() : troupe)

/** The name of every scene's patient, which nobody unrelated may ever be shown. */
const secretName = 'Nobody Must Know'

/** A patient and all around them of the scene's own. An account is one patient only, so whoever `is` theirs is new too. */
async function sceneFor(who: Who, cast: Cast): Promise<Scene> {
  const { id } = await cast.added.post('/api/patients', patient({ name: secretName }))
  const is = who === 'is' ? await api.register('I') : undefined
  if (is) await root.patch(`/api/patients/${id}`, { userId: is.id })
  const mapping = await root.post('/api/mappings', { patientId: id, doctorId: cast.profile })
  return {
    caller: is ?? (who === 'nobody' || who === 'is' ? cast.someone : cast[who]),
    patient: id,
    doctor: who === 'treats' ? cast.profile : (await root.post('/api/doctors', doctor())).id,
    mapping: mapping.id,
    someone: cast.someone,
  }
}

const split = (route: string): [method: string, path: string] => {
  const [method = '', path = ''] = route.split(' ')
  return [method, path]
}

describe('every route', () => {
  const routes = app.routes.filter(({ method }) => method !== 'ALL')
  const registered = new Set(routes.map(({ method, path }) => `${method} ${path.replace(/(?<=.)\/$/, '')}`))

  it.each([...registered])('is in the table: %s', (route) => {
    expect(table.map(([known]) => known)).toContain(route)
  })

  it.each(table)(
    '%s answers each caller as the contract says: %j',
    async (route, answers, { id, query = '', body } = {}) => {
      const [method, path] = split(route)
      const cast = await castFor(route)
      const scenes = await Promise.all(callers.map(async (who) => ({ who, scene: await sceneFor(who, cast) })))
      const got: Partial<Record<Who, number>> = {}
      for (const { who, scene } of scenes) {
        const url = path.replace(':id', id ? await id(scene) : '') + query
        const token = who === 'nobody' ? undefined : scene.caller.access
        const answer = await api.send(method, url, await body?.(scene), { token })
        got[who] = answer.status
        if (who === 'nobody' || who === 'otherDoctor' || who === 'stranger')
          expect(answer.text).not.toContain(secretName)
      }
      expect(got).toEqual(Object.fromEntries(callers.map((who, index) => [who, answers[index]])))
    },
  )
})

/** All that an answer tells, but for what is each answer's own. */
const told = ({ status, headers, text }: Answer) => ({
  status,
  headers: [...headers].filter(([name]) => !['x-request-id', 'date'].includes(name)),
  body: text.replace(/"instance":"[^"]+"/, ''),
})

describe('what a caller may not see is like what is not there', () => {
  const status = (answers: number[], who: Who) => answers[callers.indexOf(who)]
  /** The rows in which `who` is told nothing of what exists: a 404, or a 403 of the whole role. */
  const unseen = (who: Who, related: Who) =>
    table.flatMap(([route, answers, request]) => {
      const own = status(answers, who)
      const hidden = own === 404 || (own === 403 && status(answers, related) === 403)
      return hidden && request?.id ? [{ who, route, id: request.id, body: request.body }] : []
    })

  it.each([...unseen('otherDoctor', 'treats'), ...unseen('stranger', 'added')])(
    '$route, to $who, whatever the body is',
    async ({ who, route, id, body }) => {
      const [method, path] = split(route)
      const scene = await sceneFor(who, await castFor(route))
      const real = await id(scene)
      for (const sent of [await body?.(scene), { nickname: 'x' }, { userId: absent }, '{', undefined]) {
        if (method === 'GET' && sent !== undefined) continue
        const ask = async (of: string) =>
          told(await api.send(method, path.replace(':id', of), sent, { token: scene.caller.access }))
        expect(await ask(real)).toEqual(await ask(absent))
      }
      if (method === 'GET')
        for (const query of ['?page=2', '?cursor=x', '?limit=1&count=true']) {
          const ask = async (of: string) => told(await scene.caller.get(path.replace(':id', of) + query))
          expect(await ask(real)).toEqual(await ask(absent))
        }
    },
  )

  it('a deleted patient, to whoever saw them', async () => {
    const scene = await sceneFor('is', troupe)
    await deleted('/api/patients', scene.patient)
    for (const caller of [troupe.admin, troupe.treats, troupe.added, scene.caller])
      for (const path of ['/api/patients/ID', '/api/patients/ID/doctors', '/api/mappings/ID'])
        expect(told(await caller.get(path.replace('ID', scene.patient)))).toEqual(
          told(await caller.get(path.replace('ID', absent))),
        )
  })

  it.each<Who>(['otherDoctor', 'stranger'])('a patient in a body or a filter, to %s', async (who) => {
    const scene = await sceneFor(who, troupe)
    const ask = async (patientId: string) => [
      told(await scene.caller.post('/api/mappings', { patientId, doctorId: scene.doctor })),
      told(await scene.caller.post('/api/mappings', { patientId, doctorId: absent })),
      told(await scene.caller.get(`/api/mappings?patientId=${patientId}&count=true`)),
    ]
    expect(await ask(scene.patient)).toEqual(await ask(absent))
  })
})

describe('a list shows a patient to those who see them, and to nobody else', () => {
  it.each([
    ['/api/patients?q=Nobody%20Must%20Know', 'id'],
    ['/api/patients?doctorId=DOCTOR', 'id'],
    ['/api/doctors/DOCTOR/patients?limit=100', 'id'],
    ['/api/mappings?limit=100', 'patientId'],
    ['/api/mappings?patientId=PATIENT', 'patientId'],
    ['/api/mappings?doctorId=DOCTOR', 'patientId'],
  ])('%s', async (path, field) => {
    const cast = await newCast()
    const { patient, caller: is } = await sceneFor('is', cast)
    const url = path.replace('DOCTOR', cast.profile).replace('PATIENT', patient)
    for (const person of [cast.admin, cast.treats, cast.added, is])
      expect((await person.get(url)).each(field)).toContain(patient)
    for (const who of ['otherDoctor', 'stranger'] as const) {
      const answer = await cast[who].get(`${url}&count=true`)
      expect([who, answer.at('results'), answer.at('count')]).toEqual([who, [], 0])
    }
  })
})

it('a route whose first handler is no guard is found', () => {
  const handler = () => {}
  const routes = [...app.routes, { method: 'GET', path: '/planted', handler }]
  expect(findUnguardedRoutes(routes)).toEqual(['GET /planted'])
})
