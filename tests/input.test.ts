import { afterEach, describe, expect, it, vi } from 'vitest'
import { app } from '../src/app.ts'
import { pastDateField } from '../src/http/field-types.ts'
import { Answer, doctor, type Options, type Person, password, patient, world } from './support/api.ts'
import { expectProblem, expectWellFormed } from './wellformed.ts'

const { api, admin } = await world()
const someone = await api.register('Some One')
const unknownId = '01999999-9999-7999-8999-999999999999'
const jsonType = { 'Content-Type': 'application/json' }
const fresh = () => `${crypto.randomUUID()}@example.org`
const account = (more: Record<string, unknown> = {}) => ({ name: 'New Comer', email: fresh(), password, ...more })

const made = async (path: string, body: unknown) => {
  const answer = await admin.post(path, body)
  expect(answer.status, answer.text.slice(0, 500)).toBe(201)
  return answer
}
const patientId = (await made('/api/patients', patient())).id
const doctorId = (await made('/api/doctors', doctor())).id
const mappingId = (await made('/api/mappings', { patientId, doctorId })).id
/** A doctor who sees the patient and has added nobody. */
const treating = await api.register('Trea Ting')
await admin.patch(`/api/users/${treating.id}`, { role: 'doctor' })
const treatingId = (await made('/api/doctors', doctor({ userId: treating.id }))).id
await made('/api/mappings', { patientId, doctorId: treatingId })

/** How many records there are, by list. */
const stored = () =>
  Promise.all(
    ['patients', 'doctors', 'mappings', 'users'].map(async (list) =>
      (await admin.get(`/api/${list}?limit=1&count=true`)).at('count'),
    ),
  )

/** Expects a refusal that leaves no record behind. */
async function refuses(send: () => Promise<Answer>, status: number, faults?: string[]) {
  const before = await stored()
  expectProblem(await send(), status, faults)
  expect(await stored()).toEqual(before)
}

type Body = string | Uint8Array<ArrayBuffer>
const raw = (path: string, body: Body, headers: Record<string, string> = jsonType, method = 'POST') =>
  api.send(method, path, body, { token: admin.access, headers })
/** Sends a new patient of unknown length. */
async function streamed(body: ReadableStream<Uint8Array>): Promise<Answer> {
  const headers = { ...jsonType, Authorization: `Bearer ${admin.access}` }
  const init = { method: 'POST', headers, body, duplex: 'half' }
  const response = await app.fetch(new Request('http://hospital.test/api/patients', init), api.env)
  return new Answer(response.status, response.headers, await response.text())
}
const bytes = (...parts: (string | number[])[]) =>
  Uint8Array.from(parts.flatMap((part) => [...(typeof part === 'string' ? new TextEncoder().encode(part) : part)]))

const good = JSON.stringify(patient())
const withRaw = (key: string, value: string) => `${good.slice(0, -1)},${JSON.stringify(key)}:${value}}`
const deep = (levels: number) => '['.repeat(levels) + ']'.repeat(levels)
const maxBody = 64 * 1024

describe('JSON bodies', () => {
  it.each([
    ['empty', ''],
    ['white space', ' \n'],
    ['half', '{"name":'],
    ['trailing comma', '{"name":"Pat",}'],
    ['single quotes', "{'name':'Pat'}"],
    ['two values', `${good}${good}`],
    ['undefined', 'undefined'],
    ['NaN', withRaw('allergies', 'NaN')],
    ['a bare NUL', '\0'],
    ['a NUL in a string', '{"name":"Pat\0"}'],
    ['a half escape', '{"name":"\\u12"}'],
    ['a comment', `${good} // no`],
    ['UTF-8 that is none', bytes('{"name":"', [0xff, 0xfe], '"}')],
    ['overlong UTF-8', bytes('{"name":"', [0xc0, 0x80], '"}')],
    ['a surrogate in UTF-8', bytes('{"name":"', [0xed, 0xa0, 0x80], '"}')],
    ['UTF-8 cut short', bytes('{"name":"Pat"}', [0xe2, 0x82])],
    [
      'UTF-16',
      bytes(
        [0xff, 0xfe],
        [...good].flatMap((char) => [char.charCodeAt(0), 0]),
      ),
    ],
    ['gzip', bytes([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3])],
    ['an array', '[]'],
    ['an array of one', `[${good}]`],
    ['a string', '"name"'],
    ['a number', '5'],
    ['null', 'null'],
    ['true', 'true'],
    ['30,000 levels', deep(30_000)],
  ])('a body of %s is a 400 on the whole of it', (_, body) => refuses(() => raw('/api/patients', body), 400, ['']))

  it.each([
    ['a known field', 'name'],
    ['a list', 'allergies.0'],
    ['an unknown field', 'extra'],
  ])('a body too deep in %s is a 400', (_, path) => {
    const value = deep(20_000)
    return refuses(() => raw('/api/patients', withRaw(path.replace('.0', ''), value)), 400, [path])
  })

  it.each([
    ['too many bytes', '/api/patients', withRaw('medicalHistory', JSON.stringify('x'.repeat(maxBody)))],
    ['too many spaces', '/api/patients', good.padEnd(maxBody + 1)],
    ['100,000 levels', '/api/patients', deep(100_000)],
    ['too many bytes of no JSON', '/api/doctors', 'x'.repeat(maxBody + 1)],
    ['more bytes than characters', '/api/patients', withRaw('address', `"${'é'.repeat(maxBody / 2)}"`)],
    ['megabytes', '/api/mappings', 'x'.repeat(5_000_000)],
  ])('a body of %s is a 413', async (_, path, body) => {
    await refuses(() => raw(path, body), 413)
    const length = String(bytes(body).length)
    await refuses(() => raw(path, body, { ...jsonType, 'Content-Length': length }), 413)
  })

  it.each(['register', 'login', 'refresh'])(
    'a body that is too large is a 413 without signing in, on the path to %s',
    async (what) => {
      expectProblem(await api.send('POST', `/api/auth/${what}`, 'x'.repeat(maxBody + 1), { headers: jsonType }), 413)
    },
  )

  it('a body may have 64 KiB', async () => {
    expect((await raw('/api/patients', good.padEnd(maxBody))).status).toBe(201)
  })

  it('a body without an end is given up', async () => {
    const spaces = new Uint8Array(1024).fill(32)
    const body = new ReadableStream<Uint8Array>({ pull: (controller) => controller.enqueue(spaces) })
    expectProblem(await streamed(body), 413)
  })

  it('a body may come in pieces, cut within a character', async () => {
    const whole = bytes(JSON.stringify(patient({ name: 'Zoë 😀' })))
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        for (const byte of whole) controller.enqueue(Uint8Array.of(byte))
        controller.close()
      },
    })
    const answer = await streamed(body)
    expect(answer.status).toBe(201)
    expect(answer.at('name')).toBe('Zoë 😀')
  })

  it('a body may begin with a byte order mark', async () => {
    const answer = await raw('/api/patients', bytes([0xef, 0xbb, 0xbf], good))
    expect(answer.status).toBe(201)
    expect(answer.at('name')).toBe('Pat Patient')
  })

  it('a body with two equal keys gives the last one', async () => {
    const answer = await raw('/api/patients', `{"name":5,${good.slice(1, -1)},"name":"Last"}`)
    expect(answer.status).toBe(201)
    expect(answer.at('name')).toBe('Last')
    await refuses(() => raw('/api/patients', withRaw('name', '5')), 400, ['name'])
  })

  it.each([
    ['text/plain'],
    ['text/json'],
    ['application/jsonp'],
    ['application/vnd.api+json'],
    ['application/problem+json'],
    ['application/x-www-form-urlencoded'],
    ['multipart/form-data; boundary=x'],
    ['application/json, text/plain'],
    ['application'],
    ['*/*'],
    [''],
    ['application/json; charset=latin1'],
    ['application/json; charset=utf-16'],
    ['application/json; charset="iso-8859-1"'],
  ])('a body of type %j is a 415', (type) => refuses(() => raw('/api/patients', good, { 'Content-Type': type }), 415))

  it.each([
    ['POST', '/api/patients'],
    ['PUT', `/api/patients/${patientId}`],
    ['PATCH', `/api/patients/${patientId}`],
    ['POST', '/api/doctors'],
    ['PUT', `/api/doctors/${doctorId}`],
    ['PATCH', `/api/doctors/${doctorId}`],
    ['POST', '/api/mappings'],
    ['POST', '/api/auth/register'],
    ['POST', '/api/auth/login'],
    ['POST', '/api/auth/refresh'],
  ])('a body without a type is a 415: %s %s', async (method, path) => {
    await refuses(() => api.send(method, path, undefined, { token: admin.access }), 415)
    await refuses(() => api.send(method, path, bytes(good), { token: admin.access }), 415)
  })

  it.each([
    ['application/json;charset=utf-8'],
    ['application/json; charset=UTF-8'],
    ['application/json; charset="utf-8"'],
    ['Application/JSON'],
    ['application/json; version=1'],
  ])('a body of type %j is taken', async (type) => {
    expect((await raw('/api/patients', good, { 'Content-Type': type })).status).toBe(201)
  })
})

type Make = (value: unknown) => Record<string, unknown>
const span = (more: object) => doctor({ workingHours: [{ day: 'mon', from: '09:00', to: '17:00', ...more }] })
/** Every field that is a string, with a good value. */
const strings: [path: string, field: string, good: string, body: Make][] = [
  ['/api/patients', 'name', 'Pat', (name) => patient({ name })],
  ['/api/patients', 'dateOfBirth', '2000-01-01', (dateOfBirth) => patient({ dateOfBirth })],
  ['/api/patients', 'gender', 'male', (gender) => patient({ gender })],
  ['/api/patients', 'phone', '+4930123456', (phone) => patient({ phone })],
  ['/api/patients', 'email', 'pat@example.org', (email) => patient({ email })],
  ['/api/patients', 'address', 'Main Street 1', (address) => patient({ address })],
  ['/api/patients', 'bloodGroup', 'AB-', (bloodGroup) => patient({ bloodGroup })],
  ['/api/patients', 'allergies.0', 'nuts', (value) => patient({ allergies: [value] })],
  ['/api/patients', 'medicalHistory', 'none', (medicalHistory) => patient({ medicalHistory })],
  ['/api/patients', 'userId', someone.id, (userId) => patient({ userId })],
  ['/api/doctors', 'name', 'Dora', (name) => doctor({ name })],
  ['/api/doctors', 'specialization', 'Surgery', (specialization) => doctor({ specialization })],
  ['/api/doctors', 'email', 'dora@example.org', (email) => doctor({ email })],
  ['/api/doctors', 'phone', '+4930123456', (phone) => doctor({ phone })],
  ['/api/doctors', 'licenseNumber', 'L 1', (licenseNumber) => doctor({ licenseNumber })],
  ['/api/doctors', 'timeZone', 'Europe/Berlin', (timeZone) => doctor({ timeZone })],
  ['/api/doctors', 'workingHours.0.day', 'tue', (day) => span({ day })],
  ['/api/doctors', 'workingHours.0.from', '08:00', (from) => span({ from })],
  ['/api/doctors', 'workingHours.0.to', '24:00', (to) => span({ to })],
  ['/api/doctors', 'userId', someone.id, (userId) => doctor({ userId })],
  ['/api/mappings', 'patientId', patientId, (patientId) => ({ patientId, doctorId })],
  ['/api/mappings', 'doctorId', doctorId, (doctorId) => ({ patientId, doctorId })],
  ['/api/auth/register', 'name', 'New', (name) => account({ name })],
  ['/api/auth/register', 'email', 'new@example.org', (email) => account({ email })],
  ['/api/auth/register', 'password', password, (value) => account({ password: value })],
  ['/api/users', 'name', 'New', (name) => account({ role: 'patient', name })],
  ['/api/users', 'email', 'new@example.org', (email) => account({ role: 'patient', email })],
  ['/api/users', 'password', password, (value) => account({ role: 'patient', password: value })],
  ['/api/users', 'role', 'doctor', (role) => account({ role })],
  ['/api/auth/password', 'currentPassword', password, (value) => ({ currentPassword: value, newPassword: 'x' })],
  ['/api/auth/password', 'newPassword', password, (value) => ({ currentPassword: password, newPassword: value })],
  ['/api/auth/reset', 'newPassword', password, (value) => ({ token: 'x', newPassword: value })],
  ['/api/auth/login', 'email', admin.email, (email) => ({ email, password })],
  ['/api/auth/login', 'password', password, (value) => ({ email: admin.email, password: value })],
]
/** Those that null clears. */
const clearable = ['phone', 'address', 'bloodGroup', 'medicalHistory', 'userId', 'licenseNumber', 'timeZone']
const isClearable = (path: string, field: string) =>
  clearable.includes(field) || (path === '/api/patients' && field === 'email')

describe('String fields', () => {
  it.each(strings)(
    'on %s the string field %s holds neither NUL nor half a surrogate pair',
    async (path, field, value, body) => {
      const before = await stored()
      const bad = ['\0', '\ud800', '\udc00', '\ude00\ud83d'].flatMap((part) => [value + part, part + value, part])
      for (const text of bad) {
        const answer = await admin.post(path, body(text))
        expectProblem(answer, 400)
        expect(answer.faults).toContain(field)
      }
      expect(await stored()).toEqual(before)
    },
  )

  it.each(strings)(
    'on %s the string field %s has no more marks in a row than any language',
    async (path, field, value, body) => {
      const marks = '\u0315\u0300'.repeat(15)
      for (const part of [`${marks}\u0301`, '\u0315'.repeat(15_000)]) {
        const answer = await admin.post(path, body(value + part))
        expectProblem(answer, 400)
        expect(answer.faults).toContain(field)
      }
      const name = `a${marks}`
      expect((await made('/api/patients', patient({ name }))).at('name')).toBe(name.normalize('NFC'))
    },
  )

  it.each(strings)('on %s the string field %s takes nothing but a string', async (path, field, value, body) => {
    const bad = [5, 0, true, false, {}, [], [value], { value }, [[]], 1e300]
    for (const wrong of bad) expectProblem(await admin.post(path, body(wrong)), 400, [field])
    const empty = await admin.post(path, body(null))
    if (isClearable(path, field)) expect(empty.status, empty.text).toBe(201)
    else expectProblem(empty, 400, [field])
  })
})

describe('Lengths and contents of text', () => {
  const longest: [path: string, field: string, max: number, body: Make][] = [
    ['/api/patients', 'name', 200, (name) => patient({ name })],
    ['/api/patients', 'address', 500, (address) => patient({ address })],
    ['/api/patients', 'allergies.0', 200, (value) => patient({ allergies: [value] })],
    ['/api/doctors', 'name', 200, (name) => doctor({ name })],
    ['/api/doctors', 'specialization', 200, (specialization) => doctor({ specialization })],
  ]

  it.each(longest)('on %s the field %s is counted in code points', async (path, field, max, body) => {
    const answer = await admin.post(path, body(`  ${'😀'.repeat(max)}\n`))
    expect(answer.status, answer.text.slice(0, 500)).toBe(201)
    expect(answer.at(field)).toBe('😀'.repeat(max))
    await refuses(() => admin.post(path, body('😀'.repeat(max + 1))), 400, [field])
    await refuses(() => admin.post(path, body('x'.repeat(max + 1))), 400, [field])
  })

  it('text is counted once it is in NFC', async () => {
    const answer = await admin.post('/api/patients', patient({ name: 'e\u0301'.repeat(200) }))
    expect(answer.at('name')).toBe('\u00e9'.repeat(200))
  })

  it.each([
    ['/api/patients', 'medicalHistory', patient({ medicalHistory: 'x'.repeat(20_001) })],
    ['/api/patients', 'email', patient({ email: `${'x'.repeat(243)}@example.org` })],
    ['/api/doctors', 'email', doctor({ email: `${'x'.repeat(243)}@example.org` })],
    ['/api/patients', 'phone', patient({ phone: `+${'1'.repeat(16)}` })],
    ['/api/patients', 'phone', patient({ phone: `+${'1'.repeat(10_000)}` })],
    ['/api/patients', 'allergies', patient({ allergies: Array(101).fill('nuts') })],
    ['/api/doctors', 'timeZone', doctor({ timeZone: `Europe/${'x'.repeat(10_000)}` })],
    ['/api/auth/register', 'name', account({ name: 'x'.repeat(201) })],
    ['/api/auth/register', 'password', account({ password: '😀'.repeat(257) })],
    ['/api/auth/register', 'password', account({ password: '😀'.repeat(7) })],
    ['/api/auth/login', 'password', { email: admin.email, password: 'x'.repeat(257) }],
  ])('on %s the field %s has a greatest length', (path, field, body) =>
    refuses(() => admin.post(path, body), 400, [field]),
  )

  it.each([
    patient({ medicalHistory: 'x'.repeat(20_000) }),
    patient({ allergies: Array.from({ length: 100 }, (_, i) => `${i}`.padEnd(200, 'x')) }),
  ])('a field of the greatest length is taken', async (body) => {
    const answer = await admin.post('/api/patients', body)
    expect(answer.status, answer.text.slice(0, 500)).toBe(201)
    expect((await admin.get(`/api/patients/${answer.id}`)).body).toMatchObject(body)
  })

  it.each(['', ' ', '\n\t', '\u00a0', '\u3000', '\ufeff'])('a text of %j is blank', async (blank) => {
    for (const [path, field, body] of [
      ['/api/patients', 'name', patient({ name: blank })],
      ['/api/patients', 'allergies.0', patient({ allergies: [blank] })],
      ['/api/doctors', 'specialization', doctor({ specialization: blank })],
      ['/api/auth/register', 'name', account({ name: blank })],
    ] as const)
      expectProblem(await admin.post(path, body), 400, [field])
    const optional = { phone: blank, email: blank, address: blank, bloodGroup: blank, medicalHistory: blank }
    const answer = await admin.post('/api/patients', patient(optional))
    expect(answer.status, answer.text.slice(0, 500)).toBe(201)
    expect(answer.body).toMatchObject({
      phone: null,
      email: null,
      address: null,
      bloodGroup: null,
      medicalHistory: null,
    })
  })

  const fragments = [
    "Robert'); DROP TABLE patients; --",
    "' OR '1'='1",
    '"; select pg_sleep(9); --',
    '$1 $2 :id ?',
    '%',
    '_',
    '\\',
    '\\u0000 \\0 \\N \\x00',
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the text is what is tested
    '${7*7} #{7*7} {{7*7}} <%= 7*7 %>',
    '<script>alert(1)</script>&amp;',
    '{"a":1}',
    '{NULL,"a\\"b",c}',
    'NULL',
    'null',
    '__proto__',
    'constructor',
    '../../etc/passwd',
    '\u202eabc\u2066',
    'a\u0000b'.replace('\u0000', '\u0001'),
    '=1+1',
    '%s%n%d',
    '\ufffd \uffff 👩‍👩‍👧',
  ]
  it.each(fragments)('the text %j is stored as it is', async (text) => {
    const texts = { name: text, address: text, medicalHistory: text, allergies: [text, text] }
    const created = await made('/api/patients', patient(texts))
    expect((await admin.get(`/api/patients/${created.id}`)).body).toMatchObject(texts)
    const changed = await admin.patch(`/api/patients/${created.id}`, { name: `${text}!`, allergies: [text] })
    expect(changed.body).toMatchObject({ ...texts, name: `${text}!`, allergies: [text] })

    const skills = { name: text, specialization: text, licenseNumber: text }
    expect((await made('/api/doctors', doctor(skills))).body).toMatchObject(skills)

    const registered = await api.send('POST', '/api/auth/register', account({ name: text }))
    expect(registered.string('user.name')).toBe(text)
  })

  it.each(fragments)('the text %j is searched as it is', async (text) => {
    const { id } = await made('/api/patients', patient({ name: `A${text}Z` }))
    const other = await made('/api/patients', patient({ name: 'AxZ' }))
    const query = new URLSearchParams({ q: `A${text}Z`, limit: '100' })
    const found = await admin.get(`/api/patients?${query}`)
    expect(found.each('id')).toContain(id)
    expect(found.each('id')).not.toContain(other.id)
  })

  it('text that would split a phone number or an address is refused', async () => {
    for (const phone of ["+49'30", '+49;30', '0049301234', '+', '+0301234', '+４９３０', 'tel:+4930', '+49 30 ext 5'])
      expectProblem(await admin.post('/api/patients', patient({ phone })), 400, ['phone'])
    for (const email of [
      'a',
      'a@',
      '@b.org',
      'a@b',
      'a b@c.org',
      'a@b.org\nbcc: x@y.org',
      "x'--",
      'a@b@c.org',
      '<a@b.org>',
    ])
      expectProblem(await admin.post('/api/patients', patient({ email })), 400, ['email'])
  })
})

describe('E-mail addresses', () => {
  it('an e-mail address is the same in any case', async () => {
    const email = fresh()
    const registered = await api.send('POST', '/api/auth/register', account({ email: ` ${email.toUpperCase()} ` }))
    expect(registered.string('user.email')).toBe(email)
    const credentials = { email: email.replace('example', 'eXaMPLe'), password }
    expect((await api.send('POST', '/api/auth/login', credentials)).status).toBe(200)
    expectProblem(await api.send('POST', '/api/auth/register', account({ email })), 409)

    expect((await made('/api/doctors', doctor({ email: email.toUpperCase() }))).at('email')).toBe(email)
    await refuses(() => admin.post('/api/doctors', doctor({ email })), 409)
    expect((await made('/api/patients', patient({ email: email.toUpperCase() }))).at('email')).toBe(email)
  })
})

describe('Numbers', () => {
  it.each([['"5"'], ['1.5'], ['-1'], ['81'], ['3e9'], ['2147483648'], ['1e400'], ['-1e400'], ['9007199254740993']])(
    'a number of years cannot be %s',
    (value) => {
      const body = `${JSON.stringify(doctor()).slice(0, -1)},"experienceYears":${value}}`
      return refuses(() => raw('/api/doctors', body), 400, ['experienceYears'])
    },
  )

  it.each([true, [5], {}, ''])('a number of years cannot be %j', (experienceYears) =>
    refuses(() => admin.post('/api/doctors', doctor({ experienceYears })), 400, ['experienceYears']),
  )

  it.each([0, 80, 5.0])('a number of years may be %d', async (experienceYears) => {
    expect((await made('/api/doctors', doctor({ experienceYears }))).at('experienceYears')).toBe(experienceYears)
  })

  it.each(['self', 'allergies'])('the field %s cannot be a number', (field) =>
    refuses(() => admin.post('/api/patients', patient({ [field]: 1 })), 400, [field]),
  )
})

describe('Dates of birth', () => {
  const tomorrow = new Date(Date.now() + 2 * 86_400_000).toISOString().slice(0, 10)
  it.each([
    ['2023-02-29'],
    ['1900-02-29'],
    ['2000-02-30'],
    ['2000-04-31'],
    ['2000-13-01'],
    ['2000-00-10'],
    ['2000-01-00'],
    ['0000-01-01'],
    ['0001-01-01'],
    ['1899-12-31'],
    [tomorrow],
    ['9999-12-31'],
    ['+012345-01-01'],
    ['-0001-01-01'],
    ['2000-1-1'],
    ['20000101'],
    ['2000-01-01T00:00:00Z'],
    ['01.01.2000'],
    ['infinity'],
    ['now'],
    ['today'],
    [' 2000-01-01x'],
    ['２０００-01-01'],
  ])('a date of birth cannot be %s', async (dateOfBirth) => {
    await refuses(() => admin.post('/api/patients', patient({ dateOfBirth })), 400, ['dateOfBirth'])
    expectProblem(await admin.patch(`/api/patients/${patientId}`, { dateOfBirth }), 400, ['dateOfBirth'])
  })

  it.each(['1900-01-01', '2000-02-29', new Date().toISOString().slice(0, 10)])(
    'a date of birth may be %s',
    async (dateOfBirth) => {
      expect((await made('/api/patients', patient({ dateOfBirth }))).at('dateOfBirth')).toBe(dateOfBirth)
    },
  )
})

const notIds = [
  '1',
  'abc',
  'null',
  'undefined',
  '-1',
  '__proto__',
  'constructor',
  patientId.slice(0, -1),
  `${patientId}0`,
  patientId.replaceAll('-', ''),
  `{${patientId}}`,
  `urn:uuid:${patientId}`,
  patientId.replace(/^./, 'g'),
  `${patientId}\0`,
  `${patientId} `,
  `${patientId}' or '1'='1`,
  '../../etc/passwd',
  '😀',
  'x'.repeat(10_000),
]

describe('Malformed ids', () => {
  const lists = ['patients', 'doctors', 'mappings', 'users']
  it.each(notIds)('a malformed id is a 404 in a path: %.50j', async (id) => {
    for (const list of lists) {
      expectProblem(await admin.get(`/api/${list}/${encodeURIComponent(id)}`), 404)
      if (list !== 'users') await refuses(() => admin.delete(`/api/${list}/${encodeURIComponent(id)}`), 404)
    }
    expectProblem(await admin.put(`/api/patients/${encodeURIComponent(id)}`, patient()), 404)
    expectProblem(await admin.patch(`/api/doctors/${encodeURIComponent(id)}`, {}), 404)
    expectProblem(await admin.post(`/api/doctors/${encodeURIComponent(id)}/restore`), 404)
    expectProblem(await admin.get(`/api/patients/${encodeURIComponent(id)}/doctors`), 404)
  })

  it.each([
    '%',
    '%00',
    '%2',
    '%ED%A0%80',
    '%FF',
    '..%2f..%2f',
    '%2e%2e%2f',
    '%252e',
    '%0d%0aX-Evil:1',
    ';',
    '*',
    ':id',
  ])('a malformed id is a 404 in a path: %s', async (id) => {
    for (const list of lists) {
      expectProblem(await admin.get(`/api/${list}/${id}`), 404)
      expectProblem(await admin.get(`/api/${list}/${patientId}${id}`), 404)
    }
  })

  it.each(notIds)('a malformed id is a 400 in a body: %.50j', async (id) => {
    await refuses(() => admin.post('/api/mappings', { patientId: id, doctorId }), 400, ['patientId'])
    await refuses(() => admin.post('/api/mappings', { patientId, doctorId: id }), 400, ['doctorId'])
    await refuses(() => admin.post('/api/patients', patient({ userId: id })), 400, ['userId'])
    await refuses(() => admin.post('/api/doctors', doctor({ userId: id })), 400, ['userId'])
  })

  it.each(notIds)('a malformed id is a 400 in a query: %.50j', async (id) => {
    for (const [list, name] of [
      ['audit', 'patientId'],
      ['audit', 'userId'],
      ['patients', 'doctorId'],
      ['mappings', 'doctorId'],
      ['mappings', 'patientId'],
    ] as const)
      expectProblem(await admin.get(`/api/${list}?${new URLSearchParams({ [name]: id })}`), 400, [name])
  })

  it('an id in upper case is well-formed', async () => {
    expect((await admin.get(`/api/patients/${patientId.toUpperCase()}`)).id).toBe(patientId)
    expect((await admin.get(`/api/mappings?patientId=${patientId.toUpperCase()}`)).each('id')).toContain(mappingId)
  })

  it('a well-formed id that nothing has is a 404, and a 400 in a body', async () => {
    for (const list of lists) expectProblem(await admin.get(`/api/${list}/${unknownId}`), 404)
    const both = { patientId: unknownId, doctorId: unknownId }
    await refuses(() => admin.post('/api/mappings', both), 400, ['patientId', 'doctorId'])
    await refuses(() => admin.post('/api/patients', patient({ userId: unknownId })), 400, ['userId'])
    await refuses(() => admin.post('/api/doctors', doctor({ userId: unknownId })), 400, ['userId'])
  })
})

describe('Fields at fault', () => {
  const inherited = ['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'prototype']
  const odd = ['Name', 'name ', '', ' ', 'na\u0000me', 'x'.repeat(1000), '0', 'errors']
  it.each([
    ...['id', 'createdBy', 'createdAt', 'updatedAt', 'deletedAt', 'search', 'created_by', 'date_of_birth'],
    ...inherited,
    ...odd,
  ])('a field that patients do not have, or may not set, is named: %.30j', async (key) => {
    const body = withRaw(key, '{"isAdmin":true}')
    await refuses(() => raw('/api/patients', body), 400, [key])
    const { headers, token } = { headers: jsonType, token: admin.access }
    expectProblem(await api.send('PUT', `/api/patients/${patientId}`, body, { headers, token }), 400, [key])
    const patch = `{${JSON.stringify(key)}:null}`
    expectProblem(await api.send('PATCH', `/api/patients/${patientId}`, patch, { headers, token }), 400, [key])
  })

  it.each(['id', 'createdAt', 'userRole', 'deletedAt', ...inherited])(
    'a field that doctors do not have, or may not set, is named: %s',
    (key) => refuses(() => raw('/api/doctors', `${JSON.stringify(doctor()).slice(0, -1)},"${key}":1}`), 400, [key]),
  )

  it.each(['id', 'createdBy', 'patient', ...inherited])(
    'a field that mappings do not have, or may not set, is named: %s',
    (key) =>
      refuses(() => raw('/api/mappings', `{"patientId":"${patientId}","doctorId":"${doctorId}","${key}":1}`), 400, [
        key,
      ]),
  )

  it.each(['role', 'active', 'id', 'isAdmin', 'passwordHash', ...inherited])(
    'a field that nobody may choose when they register is named: %s',
    async (key) => {
      const body = account()
      const text = `${JSON.stringify(body).slice(0, -1)},"${key}":"admin"}`
      expectProblem(await api.send('POST', '/api/auth/register', text, { headers: jsonType }), 400, [key])
      const credentials = { email: body.email, password }
      expectProblem(await api.send('POST', '/api/auth/login', credentials), 401)
    },
  )

  it('an unknown field of a span of hours is named with its place', () =>
    refuses(() => admin.post('/api/doctors', span({ until: '18:00' })), 400, ['workingHours.0.until']))

  it('every field at fault is named', async () => {
    const body = patient({ name: '', gender: 'none', phone: '1', extra: 1, allergies: ['a', 5] })
    const answer = await admin.post('/api/patients', body)
    expectProblem(answer, 400)
    expect(answer.faults.toSorted()).toEqual(['allergies.1', 'extra', 'gender', 'name', 'phone'])
  })

  const required: [path: string, field: string, body: Record<string, unknown>][] = [
    ...['name', 'dateOfBirth', 'gender'].map((field): [string, string, Record<string, unknown>] => [
      '/api/patients',
      field,
      patient(),
    ]),
    ...['name', 'specialization', 'email'].map((field): [string, string, Record<string, unknown>] => [
      '/api/doctors',
      field,
      doctor(),
    ]),
    ['/api/mappings', 'patientId', { patientId, doctorId }],
    ['/api/mappings', 'doctorId', { patientId, doctorId }],
    ['/api/auth/register', 'name', account()],
    ['/api/auth/register', 'email', account()],
    ['/api/auth/register', 'password', account()],
    ['/api/auth/login', 'email', { email: admin.email, password }],
    ['/api/auth/login', 'password', { email: admin.email, password }],
    ['/api/auth/refresh', 'refresh', { refresh: admin.refresh }],
  ]
  it.each(required)('on %s the field %s is needed', async (path, field, body) => {
    const { [field]: _, ...without } = body
    await refuses(() => admin.post(path, without), 400, [field])
    await refuses(() => admin.post(path, { ...body, [field]: null }), 400, [field])
  })

  it.each(['name', 'dateOfBirth', 'gender'])(
    'the field %s cannot be cleared, and nothing else is changed',
    async (field) => {
      const before = await admin.get(`/api/patients/${patientId}`)
      const body = { address: 'Elsewhere', [field]: null }
      expectProblem(await admin.patch(`/api/patients/${patientId}`, body), 400, [field])
      expectProblem(await admin.put(`/api/patients/${patientId}`, { ...patient(), ...body }), 400, [field])
      expect((await admin.get(`/api/patients/${patientId}`)).body).toEqual(before.body)
    },
  )

  it.each([
    ['an overlap', [{}, { from: '16:59', to: '18:00' }], 'workingHours.1'],
    ['the same twice', [{}, {}], 'workingHours.1'],
    ['an end before the start', [{ from: '17:00', to: '09:00' }], 'workingHours.0.to'],
    ['no length', [{ from: '09:00', to: '09:00' }], 'workingHours.0.to'],
    ['hour 25', [{ to: '25:00' }], 'workingHours.0.to'],
    ['minute 60', [{ to: '10:60' }], 'workingHours.0.to'],
    ['a start at 24:00', [{ from: '24:00', to: '24:00' }], 'workingHours.0.from'],
    ['seconds', [{ from: '09:00:00' }], 'workingHours.0.from'],
    ['a line break', [{ from: '09:00\n' }], 'workingHours.0.from'],
    ['no such day', [{ day: 'Mon' }], 'workingHours.0.day'],
  ])('working hours cannot have %s', async (_, spans, field) => {
    const workingHours = spans.map((more) => ({ day: 'mon', from: '09:00', to: '17:00', ...more }))
    const answer = await admin.post('/api/doctors', doctor({ workingHours }))
    expectProblem(answer, 400)
    expect(answer.faults).toContain(field)
  })

  it.each(['+02:00', 'Mars/Olympus', 'Europe', '../../etc/localtime', 'UTC; drop table doctors', '-05', 'Z'])(
    'a time zone cannot be %s',
    (timeZone) => refuses(() => admin.post('/api/doctors', doctor({ timeZone })), 400, ['timeZone']),
  )
})

describe('Queries', () => {
  it.each([
    ['limit=0', 'limit'],
    ['limit=101', 'limit'],
    ['limit=-1', 'limit'],
    ['limit=1.5', 'limit'],
    ['limit=1e1', 'limit'],
    ['limit=0x10', 'limit'],
    ['limit=99999999999999999999', 'limit'],
    ['limit=', 'limit'],
    ['limit', 'limit'],
    ['limit=NaN', 'limit'],
    ['limit=10&limit=10', 'limit'],
    ['limit[]=10', 'limit[]'],
    ['Limit=10', 'Limit'],
    ['offset=10', 'offset'],
    ['count=yes', 'count'],
    ['count=1', 'count'],
    ['cursor=', 'cursor'],
    ['cursor=abc', 'cursor'],
    ['cursor=%00', 'cursor'],
    [`cursor=${'A'.repeat(200)}`, 'cursor'],
    [`cursor=${'A'.repeat(5000)}`, 'cursor'],
    ['__proto__=1', '__proto__'],
    ['__proto__[q]=1', '__proto__[q]'],
    ['constructor=1', 'constructor'],
    ['toString=1', 'toString'],
    ['hasOwnProperty', 'hasOwnProperty'],
  ])('a query of any list is a 400 for ?%s', async (query, fault) => {
    const ofOne = [`patients/${patientId}/doctors`, `doctors/${doctorId}/patients`, `patients/${patientId}/audit`]
    const lists = ['patients', 'doctors', 'mappings', 'users', 'audit', 'auth/sessions', ...ofOne]
    for (const list of lists) expectProblem(await admin.get(`/api/${list}?${query}`), 400, [fault])
  })

  it.each([
    ['patients', 'q=%00', 'q'],
    ['patients', 'q=a%00b', 'q'],
    ['patients', 'q=%ED%A0%80', 'q'],
    ['patients', 'q=%FF', 'q'],
    ['doctors', 'q=%00', 'q'],
    ['doctors', 'q=%ED%A0%80', 'q'],
    ['doctors', 'specialization=%00', 'specialization'],
    ['patients', `q=${'x'.repeat(201)}`, 'q'],
    ['patients', 'q=a&q=b', 'q'],
    ['patients', 'gender=none', 'gender'],
    ['patients', 'gender=Female', 'gender'],
    ['patients', 'deleted=yes', 'deleted'],
    ['patients', 'sort=id', 'sort'],
    ['patients', 'sort=', 'sort'],
    ['patients', 'sort=--name', 'sort'],
    ['patients', 'sort=name,gender', 'sort'],
    ['patients', 'sort=constructor', 'sort'],
    ['patients', 'sort=-__proto__', 'sort'],
    ['patients', 'sort=name;drop table patients', 'sort'],
    ['patients', 'name=Pat', 'name'],
    ['doctors', 'gender=female', 'gender'],
    ['doctors', 'sort=dateOfBirth', 'sort'],
    ['mappings', 'sort=createdAt', 'sort'],
    ['mappings', 'q=a', 'q'],
    ['mappings', 'doctorID=1', 'doctorID'],
    ['users', 'q=%00', 'q'],
    ['users', 'role=Admin', 'role'],
    ['users', 'active=1', 'active'],
    ['audit', 'action=%00', 'action'],
  ])('a query of %s is a 400 for ?%s', async (list, query, fault) => {
    expectProblem(await admin.get(`/api/${list}?${query}`), 400, [fault])
  })

  it.each(['%25', '_', '%5C', '+', "'", '"', '(', '%2B', '😀', '%', '%zz', 'a%26limit%3D1'])(
    'a query may ask for %s',
    async (q) => {
      for (const list of ['patients', 'doctors']) {
        const answer = await admin.get(`/api/${list}?q=x${q}`)
        expect(answer.status, answer.text.slice(0, 500)).toBe(200)
        expect(answer.list().length).toBeLessThan(50)
      }
    },
  )

  it.each([
    '',
    'now',
    'infinity',
    '2026-12-01',
    '2026-12-01T09:00:00',
    '2026-12-01 09:00:00Z',
    '2026-02-30T09:00:00Z',
    '2026-12-01T24:00:00Z',
    '2026-12-01T23:59:60Z',
    '2026-12-01T09:00:00+25:00',
    '2026-12-01T09:00:00 01:00',
    '0000-01-01T00:00:00Z',
    '0000-01-01T00:00:00+12:00',
    '9999-12-31T23:59:59-12:00',
    '+012026-12-01T09:00:00Z',
    '1764579600',
    '2026-12-01T09:00:00Z\0',
  ])('a query of the audit log is refused for the moment %j', async (moment) => {
    for (const name of ['from', 'to'])
      expectProblem(await admin.get(`/api/audit?${new URLSearchParams({ [name]: moment })}`), 400, [name])
  })

  it('a query takes a cursor only for the list it is from', async () => {
    const first = await admin.get('/api/patients?limit=1&gender=female')
    const cursor = new URL(first.string('next'), 'http://hospital.test').searchParams.get('cursor') ?? ''
    expect((await admin.get(`/api/patients?gender=female&cursor=${cursor}`)).status).toBe(200)
    for (const list of ['patients', 'patients?gender=male', 'patients?gender=female&sort=name', 'doctors', 'mappings'])
      expectProblem(await admin.get(`/api/${list}${list.includes('?') ? '&' : '?'}cursor=${cursor}`), 400, ['cursor'])
    const changed = `${cursor.slice(0, -2)}${cursor.endsWith('AA') ? 'BB' : 'AA'}`
    expectProblem(await admin.get(`/api/patients?gender=female&cursor=${changed}`), 400, ['cursor'])
  })
})

describe('Paths', () => {
  it.each([
    '/api',
    '/api/',
    '/api/nothing',
    '/API/patients',
    '/api/Patients',
    '/api//patients',
    '/api/patients/x/y/z',
    '/api/patients%2f',
    '/api/%70atients/%00/%00',
    '/api/patients;a=b',
    '/.env',
    '/..%2f..%2fetc%2fpasswd',
    '/__proto__',
    '/constructor',
    '/%00',
    '/%',
    '/*',
    '/api/*',
    `/api/${'x'.repeat(60_000)}`,
    `/${'a/'.repeat(20_000)}`,
  ])('a path that leads nowhere is a 404: %.40s', async (path) => {
    for (const method of ['GET', 'POST', 'DELETE', 'PROPFIND', 'OPTIONS'])
      expectProblem(await api.send(method, path, undefined, { token: admin.access }), 404)
  })

  it.each([
    ['GET', '/api/patients', 200],
    ['GET', `/api/patients/${patientId}`, 200],
    ['PATCH', `/api/patients/${patientId}`, 200],
    ['GET', `/api/doctors/${doctorId}/patients`, 200],
    ['GET', '/api/nothing', 404],
    ['PUT', '/api/doctors', 405],
    ['PATCH', `/api/mappings/${mappingId}`, 405],
    ['OPTIONS', '/api/patients', 204],
    ['GET', '/healthz', 200],
    ['POST', '/api/mappings', 409],
  ])('a path may end in a slash: %s %s', async (method, path, status) => {
    const body = { PATCH: {}, POST: { patientId, doctorId } }[method]
    const [plain, slash] = [
      await api.send(method, path, body, { token: admin.access }),
      await api.send(method, `${path}/`, body, { token: admin.access }),
    ]
    expect([plain.status, slash.status]).toEqual([status, status])
    expect(slash.headers.get('Allow')).toBe(plain.headers.get('Allow'))
    if (Array.isArray(plain.at('results'))) expect(slash.each('id')).toEqual(plain.each('id'))
    else expect(slash.at('id')).toBe(plain.at('id'))
  })
})

describe('Methods', () => {
  const one = ['DELETE', 'GET', 'HEAD', 'OPTIONS', 'PATCH', 'PUT']
  const known: [path: string, methods: string[]][] = [
    ['/api/patients', ['GET', 'HEAD', 'OPTIONS', 'POST']],
    [`/api/patients/${patientId}`, one],
    [`/api/patients/${patientId}/restore`, ['OPTIONS', 'POST']],
    [`/api/patients/${patientId}/doctors`, ['GET', 'HEAD', 'OPTIONS']],
    ['/api/doctors', ['GET', 'HEAD', 'OPTIONS', 'POST']],
    [`/api/doctors/${doctorId}`, one],
    ['/api/mappings', ['GET', 'HEAD', 'OPTIONS', 'POST']],
    [`/api/mappings/${mappingId}`, ['DELETE', 'GET', 'HEAD', 'OPTIONS']],
    ['/api/auth/login', ['OPTIONS', 'POST']],
    ['/healthz', ['GET', 'HEAD', 'OPTIONS']],
  ]
  const allowed = (answer: Answer) => (answer.headers.get('Allow') ?? '').split(', ').toSorted()

  it.each(known)('a method that %s does not have is a 405 with those it has', async (path, methods) => {
    const all = [
      'DELETE',
      'GET',
      'PATCH',
      'POST',
      'PUT',
      'PROPFIND',
      'QUERY',
      'ALL',
      'patch',
      'constructor',
      '__proto__',
    ]
    for (const method of all.filter((name) => !methods.includes(name))) {
      const answer = await api.send(method, path, undefined, { token: admin.access })
      expectProblem(answer, 405)
      expect(allowed(answer)).toEqual(methods)
    }
  })

  it.each(known)('an OPTIONS request to %s is answered with the methods it has', async (path, methods) => {
    const answer = await api.send('OPTIONS', path)
    expect(answer.status).toBe(204)
    expect(answer.text).toBe('')
    expect(allowed(answer)).toEqual(methods)
  })

  const ids = { patients: patientId, doctors: doctorId, mappings: mappingId }
  const gets = app.routes.filter(({ method, path }) => method === 'GET' && !path.includes('*')).map(({ path }) => path)
  const inPlace = (path: string) =>
    path.replace(/(\w+)\/:id/, (_, list) => `${list}/${Reflect.get(ids, list) ?? unknownId}`)

  it.each([...new Set(gets)].map(inPlace))('a HEAD request to %s is a GET without the body', async (path) => {
    for (const options of [{ token: admin.access }, {}, { token: admin.access, headers: { Accept: 'text/csv' } }]) {
      const get = await api.send('GET', path, undefined, options)
      const head = await api.send('HEAD', path, undefined, options)
      expect(head.status).toBe(get.status)
      expect(head.text).toBe('')
      for (const name of ['Content-Type', 'ETag', 'Cache-Control', 'Link', 'WWW-Authenticate'])
        expect(head.headers.get(name)).toBe(get.headers.get(name))
    }
  })
})

describe('Request headers', () => {
  it.each(['a', 'A-b_c.9', '0', '.'.repeat(128)])('the X-Request-Id is given back: %.20s', async (id) => {
    const headers = { 'X-Request-Id': id }
    expect((await api.send('GET', '/healthz', undefined, { headers })).headers.get('X-Request-Id')).toBe(id)
    const answer = await api.send('GET', '/api/patients', undefined, { headers })
    expectProblem(answer, 401)
    expect(answer.at('instance')).toBe(id)
  })

  it.each(['', 'a b', 'a,b', 'é', 'a/b', '<script>', "';--", '.'.repeat(129), '%00', 'x'.repeat(100_000)])(
    'a new X-Request-Id is made where it is %.20j',
    async (id) => {
      const answer = await admin.get('/api/patients/x', { 'X-Request-Id': id })
      expectProblem(answer, 404)
      expect(answer.at('instance')).not.toBe(id)
    },
  )

  const token = admin.access
  it.each([`bearer ${token}`, `BEARER ${token}`, `bEaReR   ${token}`, `  Bearer ${token}  `])(
    'the Authorization may be %.20j',
    async (Authorization) => {
      expect((await api.send('GET', '/api/auth/me', undefined, { headers: { Authorization } })).id).toBe(admin.id)
    },
  )

  it.each([
    '',
    'Bearer',
    'Bearer ',
    'Bearer null',
    token,
    `Token ${token}`,
    `Bearer${token}`,
    `Bearer:${token}`,
    `Bearer ${token} x`,
    `Bearer ${token}, Bearer ${token}`,
    `Bearer ${token}x`,
    `Bearer ${token}=`,
    `Bearer "${token}"`,
    `Bearer ${token.slice(0, -1)}`,
    `Bearer ${token.split('.').slice(0, 2).join('.')}.`,
    `Bearer ${admin.refresh}`,
    'Bearer ..',
    'Bearer a.b.c',
    'Bearer bnVsbA.bnVsbA.bnVsbA',
    'Bearer %00',
    'Bearer é',
    'Basic YWRtaW46YWRtaW4=',
    'Basic',
    'Digest username="admin"',
    `Bearer ${'x'.repeat(100_000)}`,
    `Bearer ${'x.'.repeat(50_000)}`,
    `Bearer${' '.repeat(100_000)}`,
  ])('a request is a 401 where its Authorization is %.40j', async (Authorization) => {
    const headers = { Authorization }
    expectProblem(await api.send('GET', '/api/auth/me', undefined, { headers }), 401)
    await refuses(() => api.send('POST', '/api/patients', patient(), { headers }), 401)
    expect((await api.send('GET', '/healthz', undefined, { headers })).status).toBe(200)
  })

  it.each([
    '*/*',
    'application/*',
    'application/json',
    'APPLICATION/JSON',
    'application/json; charset=utf-8',
    'application/json;q=0.1',
    'text/html, */*;q=0.1',
    'text/html, application/json;q=0.9',
    '*/*;q=0, application/json',
    '',
  ])('the Accept header may be %j', async (Accept) => {
    expect((await admin.get('/api/patients', { Accept })).status).toBe(200)
  })

  it.each([
    'text/html',
    'text/*',
    'application/xml',
    'application/json;q=0',
    'application/*;q=0',
    '*/*;q=0',
    '*/*, application/json;q=0',
    'text/html;q=1, application/json;q=0.0',
  ])('a request is a 406 where its Accept header is %j', async (Accept) => {
    expectProblem(await admin.get('/api/patients', { Accept }), 406)
    await refuses(() => admin.post('/api/patients', patient(), { Accept }), 406)
  })

  it('the Origin header opens nothing', async () => {
    const answer = await admin.get('/api/patients', { Origin: 'https://evil.example' })
    expect([...answer.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
  })

  it.each([
    ['User-Agent', 'x'.repeat(100_000)],
    ['User-Agent', "'; drop table audit; --"],
    ['User-Agent', '\u00ff\u0080 é'],
    ['Cookie', '__proto__=1; a="'],
    ['X-Forwarded-For', "1' or 1=1"],
    ['Accept-Language', 'x'.repeat(10_000)],
    ['Transfer-Encoding', 'nonsense'],
  ])('the header %s may be anything: %#', async (name, value) => {
    expect((await admin.post('/api/patients', patient(), { [name]: value })).status).toBe(201)
    expectProblem(await admin.get(`/api/patients/${unknownId}`, { [name]: value }), 404)
    await api.env.auditWriter.flush()
    expect(api.logged.filter((line) => line.includes('audit entries could not'))).toEqual([])
  })
})

describe('Response headers', () => {
  const asAdmin = { token: admin.access }
  const answers: [status: number, method: string, path: string, body?: unknown, options?: Options][] = [
    [200, 'GET', '/api/patients', undefined, asAdmin],
    [201, 'POST', '/api/patients', patient(), asAdmin],
    [204, 'OPTIONS', '/api/patients'],
    [204, 'POST', '/api/auth/logout', { refresh: 'x' }],
    [400, 'POST', '/api/patients', {}, asAdmin],
    [401, 'GET', '/api/patients'],
    [401, 'POST', '/api/auth/login', { email: 'nobody@example.org', password }],
    [403, 'POST', '/api/doctors', doctor(), { token: someone.access }],
    [404, 'GET', `/api/patients/${unknownId}`, undefined, asAdmin],
    [404, 'GET', '/api/nothing', undefined, asAdmin],
    [405, 'DELETE', '/api/patients', undefined, asAdmin],
    [406, 'GET', '/api/patients', undefined, { ...asAdmin, headers: { Accept: 'text/html' } }],
    [409, 'POST', '/api/mappings', { patientId, doctorId }, asAdmin],
    [413, 'POST', '/api/patients', 'x'.repeat(maxBody + 1), { ...asAdmin, headers: jsonType }],
    [415, 'POST', '/api/patients', 'x', asAdmin],
  ]
  it.each(answers)(
    'an answer of %d to %s %s has the headers that protect it',
    async (status, method, path, body, options) => {
      const answer = await api.send(method, path, body, options)
      expect(answer.status).toBe(status)
      expectWellFormed(answer)
      expect(answer.headers.get('Cache-Control')).toBe('no-store')
      expect(answer.headers.get('Content-Security-Policy')).toContain("frame-ancestors 'none'")
      expect(answer.headers.get('Strict-Transport-Security')).toBeNull()
      const overHttps = await api.send(method, path, body, { ...options, env: { isHttps: true } })
      expect(overHttps.headers.get('Strict-Transport-Security')).toMatch(/^max-age=\d{7,}/)
      expect(overHttps.headers.get('X-Powered-By')).toBeNull()
    },
  )

  it.each([
    ['GET', '/', 200],
    ['GET', '/healthz', 200],
    ['GET', '/nothing', 404],
    ['POST', '/healthz', 405],
  ])('an answer outside of /api has them too: %s %s', async (method, path, status) => {
    const answer = await api.send(method, path)
    expect(answer.status).toBe(status)
    expectWellFormed(answer)
  })

  it('every answer has a request id of its own', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => api.send('GET', '/healthz')))
    expect(new Set(answers.map(({ headers }) => headers.get('X-Request-Id'))).size).toBe(20)
  })
})

describe('Requests with two faults', () => {
  const each = [
    { name: 'a wrong type', status: 415, body: '{', headers: { 'Content-Type': 'text/plain' } },
    { name: 'a large body', status: 413, body: 'x'.repeat(maxBody + 1), headers: jsonType },
    { name: 'a malformed body', status: 400, body: '{', headers: jsonType },
    { name: 'a wrong body', status: 400, body: '{"name":5,"patientId":"x"}', headers: jsonType },
  ]
  const send = (who: Person | undefined, method: string, path: string, body?: unknown, headers = {}) =>
    api.send(method, path, body, { token: who?.access, headers })

  it.each(each)('an unknown path is refused before a missing sign-in and $name', async ({ body, headers }) => {
    expectProblem(await send(undefined, 'POST', '/api/nothing', body, headers), 404)
    expectProblem(await send(undefined, 'FOO', '/api/nothing', body, headers), 404)
  })

  it.each(each)(
    'a wrong method is refused before a missing sign-in, a wrong role, a missing record and $name',
    async ({ body, headers }) => {
      for (const who of [undefined, someone, admin]) {
        expectProblem(await send(who, 'PUT', '/api/doctors', body, headers), 405)
        expectProblem(await send(who, 'POST', `/api/doctors/${unknownId}`, body, headers), 405)
        expectProblem(await send(who, 'POST', '/api/doctors/no-id', body, headers), 405)
      }
    },
  )

  it.each(each)(
    'a missing sign-in is refused before a wrong role, a missing record and $name',
    async ({ body, headers }) => {
      expectProblem(await send(undefined, 'POST', '/api/doctors', body, headers), 401)
      expectProblem(await send(undefined, 'PUT', `/api/patients/${patientId}`, body, headers), 401)
      expectProblem(await send(undefined, 'PATCH', `/api/patients/${unknownId}`, body, headers), 401)
      expectProblem(await send(undefined, 'PATCH', '/api/patients/no-id', body, headers), 401)
    },
  )

  it('a missing sign-in is refused before a bad query', async () => {
    expectProblem(await send(undefined, 'GET', '/api/patients?limit=x'), 401)
  })

  it.each(each)('a wrong role is refused before a missing record and $name', async ({ body, headers }) => {
    expectProblem(await send(someone, 'POST', '/api/doctors', body, headers), 403)
    for (const id of [doctorId, unknownId, 'no-id']) {
      expectProblem(await send(someone, 'PATCH', `/api/doctors/${id}`, body, headers), 403)
      expectProblem(await send(someone, 'PUT', `/api/doctors/${id}`, body, headers), 403)
      expectProblem(await send(someone, 'POST', `/api/patients/${id}/restore`, body, headers), 403)
    }
    expectProblem(await send(someone, 'DELETE', `/api/doctors/${unknownId}`), 403)
  })

  it('a wrong role is refused before a bad query', async () => {
    expectProblem(await send(someone, 'GET', '/api/patients?deleted=true&limit=x'), 403)
  })

  it.each(each)('a missing record is refused before $name', async ({ body, headers }) => {
    for (const id of [unknownId, 'no-id'])
      for (const method of ['PUT', 'PATCH']) {
        expectProblem(await send(admin, method, `/api/patients/${id}`, body, headers), 404)
        expectProblem(await send(admin, method, `/api/doctors/${id}`, body, headers), 404)
      }
    expectProblem(await send(someone, 'PATCH', `/api/patients/${patientId}`, body, headers), 404)
  })

  it.each([
    `/api/patients/${unknownId}/doctors`,
    `/api/doctors/${unknownId}/patients`,
    `/api/mappings/${unknownId}`,
    '/api/patients/no-id/doctors',
    '/api/mappings/no-id',
  ])('a missing record is refused before a bad query: %s', async (path) => {
    for (const query of ['limit=x', 'bogus=1', 'cursor=x']) expectProblem(await admin.get(`${path}?${query}`), 404)
  })

  it.each(['PUT', 'PATCH'])('a missing record is refused before an unknown id in the body: %s', async (method) => {
    const userId = unknownId
    expectProblem(await send(admin, method, `/api/patients/${unknownId}`, patient({ userId })), 404)
    expectProblem(await send(admin, method, `/api/doctors/${unknownId}`, doctor({ userId })), 404)
  })

  it.each(['PUT', 'PATCH'])('a missing record is refused before a stale If-Match: %s', async (method) => {
    expectProblem(await send(admin, method, `/api/patients/${unknownId}`, patient(), { 'If-Match': '"old"' }), 404)
  })

  it('a wrong type and a large body are refused before what is in the body', async () => {
    await refuses(() => raw('/api/patients', '{', { 'Content-Type': 'text/plain' }), 415)
    await refuses(() => raw('/api/patients', '{'.repeat(maxBody + 1)), 413)
    await refuses(() => raw('/api/patients', bytes([0xff]), { 'Content-Type': 'text/plain' }), 415)
  })

  it('a bad body is refused before a stale If-Match', async () => {
    const stale = { 'If-Match': '"old"' }
    expectProblem(await admin.patch(`/api/patients/${patientId}`, { name: '' }, stale), 400, ['name'])
    expectProblem(await admin.put(`/api/doctors/${doctorId}`, {}, stale), 400)
    expectProblem(await raw('/api/patients', 'x', { 'Content-Type': 'text/plain', ...stale }), 415)
  })

  describe('A missing relation to the record', () => {
    const as = (method: string, path: string, body?: unknown, headers = {}) =>
      send(treating, method, path, body, headers)

    it.each(each)('a missing relation to the record is refused after $name', async ({ status, body, headers }) => {
      expectProblem(await as('PATCH', `/api/doctors/${doctorId}`, body, headers), status)
    })

    it('a missing relation to the record is refused before a stale If-Match', async () => {
      const stale = { 'If-Match': '"old"' }
      expectProblem(await as('PATCH', `/api/doctors/${doctorId}`, { name: 'Mine' }, stale), 403)
      expectProblem(await as('DELETE', `/api/patients/${patientId}`, undefined, stale), 403)
    })

    it('a missing relation to the record is refused before a conflict', async () => {
      expectProblem(await as('POST', '/api/mappings', { patientId, doctorId }), 403)
      const taken = await made('/api/doctors', doctor())
      expectProblem(await as('PATCH', `/api/doctors/${doctorId}`, { email: taken.at('email') }), 403)
    })
  })
})

describe('Merge patches', () => {
  const types = 'application/json, application/merge-patch+json'

  it.each([...new Set(app.routes.filter(({ method }) => method === 'PATCH').map(({ path }) => path))])(
    'a merge patch is taken under its own type, which is announced: PATCH %s',
    async (route) => {
      const path = route.replace(':id', unknownId)
      const patch = (type: string) => raw(path, '{}', { 'Content-Type': type }, 'PATCH')
      for (const type of ['application/merge-patch+json', 'Application/Merge-Patch+JSON; charset=utf-8'])
        expect((await patch(type)).status).not.toBe(415)
      const options = await api.send('OPTIONS', path)
      expect([options.status, options.headers.get('Accept-Patch')]).toEqual([204, types])
    },
  )

  it('a merge patch changes what it names, clears what is null and leaves the rest (RFC 7396)', async () => {
    const made = await admin.post('/api/patients', patient({ address: 'here', email: 'p@example.org' }))
    const headers = { 'Content-Type': 'application/merge-patch+json' }
    const changed = await raw(`/api/patients/${made.id}`, '{"name":"New","address":null}', headers, 'PATCH')
    expect(changed.status).toBe(200)
    expect([changed.at('name'), changed.at('address'), changed.at('email')]).toEqual(['New', null, 'p@example.org'])
  })

  it('a merge patch is a 415 where the method is not PATCH, and a wrong type is answered with the types that are taken', async () => {
    const headers = { 'Content-Type': 'application/merge-patch+json' }
    const posted = await raw('/api/patients', good, headers)
    expectProblem(posted, 415)
    expect(posted.headers.get('Accept-Patch')).toBeNull()
    const made = await admin.post('/api/patients', patient())
    const refused = await raw(
      `/api/patients/${made.id}`,
      '{}',
      { 'Content-Type': 'application/json-patch+json' },
      'PATCH',
    )
    expectProblem(refused, 415)
    expect(refused.headers.get('Accept-Patch')).toBe(types)
    expect((await api.send('OPTIONS', '/api/patients')).headers.get('Accept-Patch')).toBeNull()
  })
})

describe('Dates of birth in the future', () => {
  afterEach(() => void vi.useRealTimers())

  it.each([
    ['2026-11-27T09:59:59.999Z', '2026-11-27', '2026-11-28'],
    ['2026-11-27T10:00:00.000Z', '2026-11-28', '2026-11-29'],
    ['2026-12-31T23:00:00.000Z', '2027-01-01', '2027-01-02'],
  ])('at %s a date of birth may be %s, which is today somewhere on Earth, and no later day', (now, latest, future) => {
    vi.useFakeTimers({ now: new Date(now), toFake: ['Date'] })
    expect(pastDateField.safeParse(latest).success).toBe(true)
    expect(pastDateField.safeParse(future).error?.issues).toMatchObject([{ message: 'must not be in the future' }])
  })
})

describe('Messages of problems', () => {
  it.each<[string, unknown]>([
    ['name is required; dateOfBirth is required; gender is required.', {}],
    ['name must be a string.', patient({ name: 1 })],
    ['name must not be blank.', patient({ name: ' ' })],
    ['name must be at most 200 characters long.', patient({ name: 'x'.repeat(201) })],
    ['dateOfBirth must be a day such as 2026-12-01.', patient({ dateOfBirth: '1984-02-30' })],
    ['gender must be one of female, male, other, unknown.', patient({ gender: 'f' })],
    ['allergies must be a list.', patient({ allergies: 'x' })],
    ['allergies must have at most 100 entries.', patient({ allergies: Array(101).fill('x') })],
    ['allergies.0 must be a string.', patient({ allergies: [1] })],
    ['email must be an e-mail address such as name@example.org.', patient({ email: 'x' })],
    ['nickname is not a known field.', patient({ nickname: 'x' })],
    ['The request must be an object.', []],
  ])('the message is: %s', async (detail, body) => {
    expect((await admin.post('/api/patients', body)).at('detail')).toBe(detail)
  })

  it('a message is a sentence also for a query and for a doctor', async () => {
    const told = async (path: string) => (await admin.get(path)).at('detail')
    expect(await told('/api/patients?limit=0')).toMatch(/^limit must be /)
    expect(await told('/api/patients?nonsense=1')).toBe('nonsense is not a known parameter.')
    expect(await told('/api/patients?sort=x')).toMatch(/^sort must be one of name, -name/)
    const body = doctor({ experienceYears: 81, workingHours: [{ day: 'mon', from: '9', to: '17:00' }] })
    expect((await admin.post('/api/doctors', body)).at('detail')).toBe(
      'experienceYears must be at most 80; workingHours.0.from must be a time such as 09:00.',
    )
  })
})

describe('Bodies that do not arrive', () => {
  afterEach(() => void vi.useRealTimers())
  const slow = (contentType: string, path: string, first: string) => {
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        controller.enqueue(bytes(first))
      },
    })
    const headers = { 'Content-Type': contentType, Authorization: `Bearer ${admin.access}` }
    const init = { method: 'POST', headers, body, duplex: 'half' }
    return app.fetch(new Request(`http://hospital.test${path}`, init), api.env)
  }

  it('a body that stops is a 408 after ten seconds, and closes the connection', async () => {
    await admin.get('/api/auth/me')
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const answer = slow('application/json', '/api/patients', '{')
    await vi.advanceTimersByTimeAsync(10_000)
    const { status, headers } = await answer
    expect([status, headers.get('Connection')]).toEqual([408, 'close'])
    expect(headers.get('Content-Type')).toBe('application/problem+json')
  })

  it('an upload that comes a byte a second is a 408', async () => {
    const { id } = await admin.post('/api/patients', patient())
    vi.useFakeTimers({ toFake: ['performance'] })
    let sent = 0
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.enqueue(bytes(sent === 0 ? '--x\r\nContent-Disposition: form-data; name="title"\r\n\r\n' : 't'))
        sent += 1
        vi.advanceTimersByTime(1000)
        if (sent > 300) controller.close()
      },
    })
    const headers = { 'Content-Type': 'multipart/form-data; boundary=x', Authorization: `Bearer ${admin.access}` }
    const init = { method: 'POST', headers, body, duplex: 'half' }
    const answer = await app.fetch(new Request(`http://hospital.test/api/patients/${id}/reports`, init), api.env)
    expect(answer.status).toBe(408)
    expect(sent).toBeLessThan(50)
  })
})
