import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { app } from '../src/app.ts'
import { doctor, type Person, password, patient, world } from './support/api.ts'
import { expectWellFormed } from './wellformed.ts'

/** How many requests each route gets. On failure fast-check prints the seed, the path and the smallest request found. */
const numRuns = Number(process.env.FUZZ_RUNS ?? 150)
const seed = Number(process.env.FUZZ_SEED ?? 20_261_201)
const timeout = Math.max(60_000, numRuns * 2000)

const { api, admin } = await world({ LOGIN_FAILURES_PER_ACCOUNT: '1000000' })

const routes = [
  ...new Set(
    app.routes
      .filter(({ method, path }) => method !== 'ALL' && !path.includes('*'))
      .map(({ method, path }) => `${method} ${path === '/' ? path : path.replace(/\/$/, '')}`),
  ),
]

/** What requests to a route are about: records of its own, so that what it deletes no other route misses. */
type Scene = { who: Person; victim: Person; ids: Record<string, string> }

async function scene(route: string): Promise<Scene> {
  const victim = await api.register('Vic Tim')
  const registered = await api.register('Doc Tor')
  await admin.patch(`/api/users/${registered.id}`, { role: 'doctor' })
  // A second session, which can be ended and leave the first.
  await api.send('POST', '/api/auth/login', { email: victim.email, password })
  const patients = await admin.post('/api/patients', patient({ userId: victim.id }))
  const doctors = await admin.post('/api/doctors', doctor({ userId: registered.id }))
  const between = { patientId: patients.id, doctorId: doctors.id }
  const times = { startsAt: '2099-06-01T09:00:00Z', endsAt: '2099-06-01T09:30:00Z' }
  const form = upload('PNG or not')
  const made = {
    mappings: await admin.post('/api/mappings', between),
    appointments: await admin.post('/api/appointments', { ...between, ...times }),
    reports: await admin.post(`/api/patients/${patients.id}/reports`, form.body, form.headers),
    sessions: await victim.get('/api/auth/sessions'),
  }
  const idOf = (id: unknown) => (typeof id === 'string' ? id : crypto.randomUUID())
  const ids = {
    patients: patients.id,
    doctors: doctors.id,
    users: victim.id,
    mappings: idOf(made.mappings.at('id')),
    appointments: idOf(made.appointments.at('id')),
    reports: idOf(made.reports.at('id')),
    sessions: idOf(made.sessions.at('results.0.id')),
  }
  return { who: route.includes('/api/auth/') ? victim : admin, victim, ids }
}

const boundary = '----fuzz'
const multipart = { 'Content-Type': `multipart/form-data; boundary=${boundary}` }
const part = (name: string, value: string, more = '') =>
  `--${boundary}\r\nContent-Disposition: form-data; name="${name}"${more}\r\n\r\n${value}\r\n`
const upload = (file: string, title = 'Report', kind = 'lab') => ({
  body: `${part('title', title)}${part('kind', kind)}${part('file', file, '; filename="a.txt"')}--${boundary}--\r\n`,
  headers: multipart,
})

const email = () => `${crypto.randomUUID()}@example.org`
const person = () => ({ name: 'New Comer', email: email(), password })
const fullPatient = () =>
  patient({
    ...{ phone: '+49 30 1234567', email: email(), address: 'Main Street 1', bloodGroup: 'AB-' },
    ...{ allergies: ['nuts', 'dust'], medicalHistory: 'none', userId: null },
  })
const fullDoctor = () =>
  doctor({
    ...{ phone: '+49 30 1234567', licenseNumber: crypto.randomUUID(), experienceYears: 7, timeZone: 'Europe/Berlin' },
    ...{ workingHours: [{ day: 'mon', from: '09:00', to: '17:00' }], userId: null },
  })
const booking = (ids: Record<string, string>) => ({
  ...{ patientId: ids.patients, doctorId: ids.doctors, reason: 'pain' },
  ...{ startsAt: '2099-07-01T09:00:00+02:00', endsAt: '2099-07-01T09:30:00.000Z' },
})

/** A good body of each route that takes one. A route that is not here gets bodies that fit none. */
const bodies: Record<string, (scene: Scene) => Record<string, unknown>> = {
  'POST /api/auth/register': person,
  'POST /api/auth/login': ({ victim }) => ({ email: victim.email, password }),
  'POST /api/auth/refresh': ({ victim }) => ({ refresh: victim.refresh }),
  'POST /api/auth/logout': ({ victim }) => ({ refresh: victim.refresh }),
  'PATCH /api/auth/me': () => ({ name: 'Other', email: email(), currentPassword: password }),
  'POST /api/auth/password': () => ({ currentPassword: password, newPassword: password }),
  'POST /api/auth/reset': () => ({ token: 'x'.repeat(43), newPassword: 'another horse' }),
  'POST /api/users': () => ({ ...person(), role: 'doctor' }),
  'PATCH /api/users/:id': () => ({ name: 'Other', email: email(), active: true, role: 'patient' }),
  'POST /api/patients': fullPatient,
  'PUT /api/patients/:id': fullPatient,
  'PATCH /api/patients/:id': fullPatient,
  'POST /api/doctors': fullDoctor,
  'PUT /api/doctors/:id': fullDoctor,
  'PATCH /api/doctors/:id': fullDoctor,
  'POST /api/mappings': ({ ids }) => ({ patientId: ids.patients, doctorId: ids.doctors }),
  'POST /api/appointments': ({ ids }) => booking(ids),
  'PATCH /api/appointments/:id': ({ ids }) => {
    const { patientId: _, doctorId: __, ...times } = booking(ids)
    return { ...times, notes: 'none' }
  },
}

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.string({ unit: 'grapheme', maxLength: 40 }),
  fc.string({ maxLength: 300 }),
  fc.constantFrom(
    ...[
      '\0',
      'a\0b',
      '\ud800',
      '\udfff',
      '\ufeff',
      '\u202e',
      '\uffff',
      'İ',
      'ẞ',
      'ﬃ',
      '😀',
      'a\u0301',
      '\u2028',
      '\\',
      '\\u0000',
    ],
    ...[
      "'; drop table patients; --",
      '%',
      '_',
      '{}',
      '{"a":1}',
      '$1',
      'null',
      'NaN',
      '__proto__',
      'constructor',
      '../..',
    ],
    ...['0000-01-01', '1900-02-29', '9999-12-31', '275760-09-13', '2099-06-01T09:00:00Z', '9999-12-31T23:59:59-23:59'],
    ...['-infinity', '24:00', '00:00', '-0', '1e999', '+999999999999999', 'a@b.co', 'UTC', 'Etc/GMT+12', 'true', ''],
    ...[
      '\t\n ',
      'x'.repeat(201),
      'é'.repeat(500),
      '😀'.repeat(200),
      'ﷺ'.repeat(200),
      '㎯'.repeat(200),
      'x'.repeat(20_000),
    ],
  ),
)
/** JSON as text, since some of it no object can hold. */
const json = fc.oneof(
  { weight: 4, arbitrary: text.map((value) => JSON.stringify(value)) },
  { weight: 2, arbitrary: fc.json({ maxDepth: 3, stringUnit: 'binary' }) },
  { weight: 1, arbitrary: fc.double().map(String) },
  { weight: 1, arbitrary: fc.array(text, { maxLength: 5 }).map((values) => JSON.stringify(values)) },
  fc.constantFrom(
    ...['null', 'true', 'false', '0', '-0', '1', '-1', '1.5', '3e9', '2147483648', '9223372036854775808', '1e400'],
    ...['{}', '[]', '[null]', '[[]]', '{"__proto__":{}}', '{"constructor":{"prototype":{}}}', '{"length":1e9}'],
    ...['['.repeat(9000) + ']'.repeat(9000), `${'{"a":'.repeat(5000)}1${'}'.repeat(5000)}`],
    ...[`[${'"x",'.repeat(5000)}"x"]`, `[${'{},'.repeat(101)}{}]`, `"${'x'.repeat(70_000)}"`],
  ),
)
const key = fc.oneof(
  text,
  fc.constantFrom(
    '__proto__',
    'constructor',
    'toString',
    'id',
    'userId',
    'self',
    'role',
    'version',
    'deletedAt',
    'length',
  ),
)

/** What is done to a good body: nothing, or one field of it is replaced, taken out, written twice or added. */
type Change = { how: 'none' | 'replace' | 'remove' | 'twice' | 'add'; field: number; key: string; value: string }
const change: fc.Arbitrary<Change> = fc.record({
  how: fc.constantFrom('none', 'replace', 'replace', 'replace', 'replace', 'remove', 'twice', 'add'),
  field: fc.nat(20),
  key,
  value: json,
})

function changed(body: Record<string, unknown>, { how, field, key, value }: Change): string {
  const good = Object.entries(body).map(([name, given]): [string, string] => [name, JSON.stringify(given)])
  const at = good.length === 0 ? 0 : field % good.length
  const fields = good.flatMap(([name, given], index): [string, string][] => {
    if (index !== at || how === 'none' || how === 'add') return [[name, given]]
    if (how === 'remove') return []
    return how === 'twice'
      ? [
          [name, value],
          [name, given],
        ]
      : [[name, value]]
  })
  if (how === 'add') fields.push([key, value])
  return `{${fields.map(([name, given]) => `${JSON.stringify(name)}:${given}`).join()}}`
}

type Sent =
  | { change: Change }
  | { raw: string | Uint8Array<ArrayBuffer>; type?: string }
  | { file: string; title: string; kind: string }
const type = fc.constantFrom(
  ...['application/json', 'application/json', 'application/json; charset=utf-8', 'application/json; charset=utf-16'],
  ...['text/plain', '', 'application/x-www-form-urlencoded', 'multipart/form-data', multipart['Content-Type'], ';;;'],
)
const sent: fc.Arbitrary<Sent> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ change }) },
  { weight: 1, arbitrary: fc.record({ raw: json, type }) },
  {
    weight: 1,
    arbitrary: fc.record({ raw: fc.oneof(text, fc.constantFrom(upload('a').body, `--${boundary}\r\n\r\n`)), type }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ raw: fc.uint8Array({ maxLength: 200 }).map((list) => new Uint8Array(list)), type }),
  },
)
const sentFile: fc.Arbitrary<Sent> = fc.record({
  file: fc.oneof(text, fc.constantFrom('%PDF-1.7', '\u0089PNG\r\n\u001a\n', '<svg/>', 'x'.repeat(300_000))),
  title: text,
  kind: fc.oneof(fc.constantFrom('lab', 'other'), text),
})

const encoded = text.map((value) => encodeURIComponent(value.toWellFormed()))
const broken = fc.constantFrom(
  '%',
  '%00',
  '%zz',
  '%ED%A0%80',
  '%FF',
  '%c0%80',
  '..%2f..',
  '+',
  '%2B',
  '%0d%0a',
  '[]',
  '%E2%82',
)
const id = fc.oneof(
  { weight: 6, arbitrary: fc.constant('real') },
  { weight: 1, arbitrary: fc.constant('REAL') },
  { weight: 2, arbitrary: fc.uuid() },
  { weight: 2, arbitrary: encoded },
  { weight: 1, arbitrary: broken },
)
const parameter = fc.tuple(
  fc.oneof(
    {
      weight: 8,
      arbitrary: fc.constantFrom(
        ...[
          'q',
          'limit',
          'cursor',
          'count',
          'sort',
          'gender',
          'deleted',
          'doctorId',
          'patientId',
          'userId',
          'specialization',
        ],
        ...['role', 'active', 'action', 'status', 'from', 'to', 'minutes'],
      ),
    },
    { weight: 1, arbitrary: encoded },
    { weight: 1, arbitrary: fc.constantFrom('__proto__', 'constructor', 'q[]', 'q[a]', '', '%00', '%') },
  ),
  fc.oneof(
    {
      weight: 4,
      arbitrary: fc.constantFrom(
        ...[
          '1',
          '100',
          '0',
          '30',
          'true',
          'name',
          '-name',
          '-updatedAt',
          'dateOfBirth',
          '-experienceYears',
          'female',
          'admin',
        ],
        ...[
          '+49 30',
          '2099-06-01',
          '2099-06-02',
          '2026-12-01T09:00:00Z',
          '9999-12-31T23:59:59-23:59',
          '0000-01-01T00:00:00Z',
        ],
        ...['patient.read', 'scheduled', 'real', 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'],
      ),
    },
    { weight: 2, arbitrary: encoded },
    { weight: 1, arbitrary: broken },
  ),
)

const none = fc.array(fc.tuple(fc.string(), fc.string()), { maxLength: 0 })
const headerValue = fc
  .array(
    fc.integer({ min: 0x20, max: 0xff }).filter((code) => code !== 0x7f),
    { maxLength: 60 },
  )
  .map((codes) => String.fromCharCode(...codes).trim())
const header = fc.tuple(
  fc.constantFrom(
    ...[
      'Accept',
      'Accept-Encoding',
      'Accept-Language',
      'If-Match',
      'If-None-Match',
      'If-Modified-Since',
      'Idempotency-Key',
    ],
    ...['X-Request-Id', 'Origin', 'Range', 'If-Range', 'User-Agent', 'Cookie', 'X-Forwarded-For', 'CF-Connecting-IP'],
    ...[
      'X-HTTP-Method-Override',
      'Access-Control-Request-Method',
      'Content-Encoding',
      'Expect',
      'Upgrade',
      'Forwarded',
    ],
  ),
  fc.oneof(
    { weight: 2, arbitrary: headerValue },
    {
      weight: 3,
      arbitrary: fc.constantFrom(
        ...[
          '*',
          '*/*',
          '"1"',
          'W/"1"',
          '"1", "2"',
          'key-1',
          'bytes=0-0',
          'bytes=5-1',
          'bytes=-',
          'bytes=0-99999999999999999999',
        ],
        ...['text/html', 'application/json;q=0', '', 'gzip', 'x'.repeat(20_000), '"'.repeat(5000), 'bytes=0-1,2-3,-1'],
      ),
    },
  ),
)
const authorization = fc.oneof(
  { weight: 12, arbitrary: fc.constant('own') },
  { weight: 2, arbitrary: fc.constant(undefined) },
  {
    weight: 2,
    arbitrary: fc.constantFrom('patient', 'Bearer', 'Bearer a.b.c', 'Bearer bnVsbA.bnVsbA.bnVsbA', 'Basic YTpi'),
  },
  { weight: 1, arbitrary: headerValue },
)

const request = (route: string) =>
  fc.record({
    id,
    authorization,
    query: fc.oneof(
      { weight: 3, arbitrary: none },
      { weight: route.startsWith('GET') ? 6 : 1, arbitrary: fc.array(parameter, { maxLength: 3 }) },
    ),
    headers: fc.oneof({ weight: 3, arbitrary: none }, { weight: 1, arbitrary: fc.array(header, { maxLength: 3 }) }),
    method: fc.oneof(
      { weight: 15, arbitrary: fc.constant(route.split(' ')[0] ?? '') },
      { weight: 1, arbitrary: fc.constantFrom('HEAD', 'OPTIONS', 'PROPFIND', 'constructor', 'ALL') },
    ),
    slash: fc.constantFrom('', '', '', '/'),
    sent: route.endsWith('/reports') ? fc.oneof(sent, { weight: 3, arbitrary: sentFile }) : sent,
  })
type Fuzzed = ReturnType<typeof request> extends fc.Arbitrary<infer Value> ? Value : never

/** Sends it, and gives the answer. */
function send(route: string, { who, victim, ids }: Scene, fuzzed: Fuzzed) {
  const real = (path: string) => ids[/(\w+)\/:id/.exec(path)?.[1] ?? ''] ?? ids.patients ?? ''
  const given = { real: real(route), REAL: real(route).toUpperCase() }
  const fill = (value: string) => (value === 'real' || value === 'REAL' ? given[value] : value)
  const path = (route.split(' ')[1] ?? '').replace(/:\w+(\{[^}]*\})?/g, () => fill(fuzzed.id))
  const query = fuzzed.query.map(([name, value]) => `${name}=${fill(value)}`).join('&')
  const tokens: Record<string, string> = { own: who.access, patient: victim.access }
  const token = tokens[fuzzed.authorization ?? '']
  const Authorization = token ? `Bearer ${token}` : fuzzed.authorization

  const content = () => {
    if (['GET', 'HEAD'].includes(fuzzed.method)) return { body: undefined, headers: {} }
    if ('file' in fuzzed.sent) return upload(fuzzed.sent.file, fuzzed.sent.title, fuzzed.sent.kind)
    if ('raw' in fuzzed.sent) {
      const { raw, type } = fuzzed.sent
      return { body: raw, headers: type === undefined ? {} : { 'Content-Type': type } }
    }
    const good = bodies[route]?.({ who, victim, ids }) ?? {}
    return { body: changed(good, fuzzed.sent.change), headers: { 'Content-Type': 'application/json' } }
  }
  const { body, headers } = content()
  return api.send(fuzzed.method, `${path}${fuzzed.slash}${query && `?${query}`}`, body, {
    headers: {
      ...Object.fromEntries(fuzzed.headers),
      ...headers,
      ...(Authorization !== undefined && { Authorization }),
    },
  })
}

/** What good bodies come to where not even they succeed: a token that nobody has, and a pair that is there. */
const refused: Record<string, number> = { 'POST /api/auth/reset': 400, 'POST /api/mappings': 409 }

/** Routes that hash a password cost 30 ms and more a request. */
const hashes = /register|login|password|reset|POST \/api\/users$|auth\/me/
const runs = (route: string) => (hashes.test(route) ? Math.ceil(numRuns / 3) : numRuns)

describe('Random requests', () => {
  it.each(routes)(
    'the route %s answers any request, and tells what is wrong as a problem',
    { timeout },
    async (route) => {
      const stage = await scene(route)
      await fc.assert(
        fc.asyncProperty(request(route), async (fuzzed) => {
          expectWellFormed(await send(route, stage, fuzzed), fuzzed.method)
        }),
        { numRuns: runs(route), seed, endOnFailure: false },
      )
    },
  )

  it.each(Object.keys(bodies).filter((route) => routes.includes(route)))(
    'the route %s takes the body that is changed',
    async (route) => {
      const stage = await scene(route)
      const [method = '', path = ''] = route.split(' ')
      const list = path.split('/').at(-2) ?? ''
      const body = bodies[route]?.(stage)
      const answer = await api.send(method, path.replace(':id', stage.ids[list] ?? ''), body, {
        token: stage.who.access,
      })
      expect(answer.status < 300 ? undefined : answer.status, answer.text).toBe(refused[route])
    },
  )

  it('the service works as before after all requests', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...routes).chain((route) => fc.tuple(fc.constant(route), request(route))),
        async ([route, fuzzed]) => {
          expectWellFormed(await send(route, await scene(route), fuzzed), fuzzed.method)
        },
      ),
      { numRuns: 5, seed },
    )
    expect((await api.send('GET', '/healthz')).status).toBe(200)
    expect((await api.send('GET', '/readyz')).status).toBe(200)
    const created = await admin.post('/api/patients', patient())
    expect(created.status).toBe(201)
    expect((await admin.get(`/api/patients/${created.id}`)).body).toEqual(created.body)
    await api.env.auditWriter.flush()
    const trail = await admin.get(`/api/audit?patientId=${created.id}`)
    expect(trail.each('action')).toContain('patient.create')
    expect(api.logged.filter((line) => /"level":"error"/.test(line))).toEqual([])
  })
})
