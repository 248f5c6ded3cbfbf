import { readdir } from 'node:fs/promises'
import { sql } from 'drizzle-orm'
import { afterAll, describe, expect, it } from 'vitest'
import { limitExceededProblem } from '../src/http/usage-limits.ts'
import { type Answer, Api, doctor, type Person, password, patient, world } from './support/api.ts'

const { api, url, admin } = await world({
  UPLOADS_PER_ACCOUNT_DAY: '3',
  UPLOAD_MIB_PER_ACCOUNT_DAY: '1',
  PATIENTS_PER_ACCOUNT_DAY: '3',
  SESSIONS_PER_ACCOUNT: '3',
  CALENDAR_FEEDS_PER_ACCOUNT: '2',
})
const none = await Api.start(url, {
  UPLOADS_PER_ACCOUNT_DAY: '0',
  UPLOAD_MIB_PER_ACCOUNT_DAY: '0',
  PATIENTS_PER_ACCOUNT_DAY: '0',
  SESSIONS_PER_ACCOUNT: '0',
  CALENDAR_FEEDS_PER_ACCOUNT: '0',
})
const byDefault = await Api.start(url)
afterAll(() => Promise.all([none.stop(), byDefault.stop()]))

const aDoctor = async () => {
  const person = await api.register('Doc')
  await admin.patch(`/api/users/${person.id}`, { role: 'doctor' })
  return { person, id: (await admin.post('/api/doctors', doctor({ userId: person.id }))).id }
}
const aDayLater = () => api.db.execute(sql`update daily_use set ends_at = now()`)
const statuses = (answers: Answer[]) => answers.map(({ status }) => status)
/** So many acts, one after the other. */
async function times(count: number, act: (i: number) => Promise<Answer>) {
  const answers: Answer[] = []
  for (let i = 0; i < count; i += 1) answers.push(await act(i))
  return answers
}
function expectLimit(answer: Answer | undefined, detail: RegExp) {
  expect([answer?.status, answer?.at('type')]).toEqual([429, '/problems/too-many-requests'])
  expect(answer?.at('detail')).toMatch(detail)
  expect(answer?.headers.get('Retry-After')).toMatch(/^[1-9]\d*$/)
}

const add = ({ access: token }: Person, at = api, headers = {}, more = {}) =>
  at.send('POST', '/api/patients', patient(more), { token, headers })
const form = (bytes: number | string, fields = {}) => {
  const made = new FormData()
  for (const [name, value] of Object.entries({ title: 'Scan', kind: 'imaging', ...fields }))
    made.append(name, `${value}`)
  made.append('file', new Blob([typeof bytes === 'string' ? bytes : 'x'.repeat(bytes)]), 'scan.txt')
  return made
}
const upload = ({ access: token }: Person, patientId: string, body = form(10), at = api, headers = {}) =>
  at.send('POST', `/api/patients/${patientId}/reports`, body, { token, headers })
const KiB = 1024

describe('Patients added by an account of role patient', () => {
  it('patients are refused beyond the limit of a day, and taken again when the day is over', async () => {
    const pat = await api.register('Pat')
    const answers = await times(4, () => add(pat))
    expect(statuses(answers)).toEqual([201, 201, 201, 429])
    expectLimit(
      answers[3],
      /^The limit is 3 patients added a day by one account of role patient\. Try again in 24 hours\.$/,
    )
    expect(Number(answers[3]?.headers.get('Retry-After'))).toBeGreaterThan(86_000)
    expect(Number(answers[3]?.headers.get('Retry-After'))).toBeLessThanOrEqual(86_400)
    expect((await pat.get('/api/patients')).list()).toHaveLength(3)
    expect((await add(await api.register('Another'))).status).toBe(201)
    await aDayLater()
    expect(statuses(await times(4, () => add(pat)))).toEqual([201, 201, 201, 429])
  })

  it('patients are refused in every process, and leave no audit entry', async () => {
    const pat = await api.register('Pat')
    await times(2, () => add(pat))
    const other = await Api.start(url, { PATIENTS_PER_ACCOUNT_DAY: '3' })
    expect(statuses(await times(2, () => add(pat, other)))).toEqual([201, 429])
    await other.stop()
    const trail = await admin.get(`/api/audit?userId=${pat.id}&action=patient.create`)
    expect(trail.list()).toHaveLength(3)
  })

  it('patients count although they are deleted', async () => {
    const pat = await api.register('Pat')
    for (const { id } of await times(3, () => add(pat)))
      expect((await pat.delete(`/api/patients/${id}`)).status).toBe(204)
    expect((await add(pat)).status).toBe(429)
  })

  it('patients do not count where they are refused or fail, nor where a key makes an answer come again', async () => {
    const pat = await api.register('Pat')
    const key = { 'Idempotency-Key': 'again' }
    const self = { self: true }
    expect((await add(pat, api, key, self)).status).toBe(201)
    expect(statuses(await times(3, () => add(pat, api, key, self)))).toEqual([201, 201, 201])
    expect(statuses(await times(3, () => add(pat, api, {}, self)))).toEqual([409, 409, 409])
    expect(statuses(await times(3, () => add(pat, api, { 'Idempotency-Key': 'other' }, self)))).toEqual([409, 409, 409])
    expect(statuses(await times(3, () => add(pat, api, {}, { name: '' })))).toEqual([400, 400, 400])
    expect(statuses(await times(3, () => add(pat, api, {}, { userId: pat.id })))).toEqual([403, 403, 403])
    expect(statuses(await times(3, () => add(pat)))).toEqual([201, 201, 429])
    // Refused, a key is free for the same again.
    const late = { 'Idempotency-Key': 'late' }
    expect((await add(pat, api, late)).status).toBe(429)
    expect((await add(pat, api, key, self)).headers.get('Idempotent-Replayed')).toBe('true')
    await aDayLater()
    expect((await add(pat, api, late)).status).toBe(201)
  })

  it('patients have no limit where others than patients add them, or where it is 0', async () => {
    const { person } = await aDoctor()
    expect(statuses(await times(5, () => add(person)))).toEqual(Array(5).fill(201))
    expect(statuses(await times(5, () => add(admin)))).toEqual(Array(5).fill(201))
    const pat = await api.register('Pat')
    expect(statuses(await times(60, () => add(pat, none)))).toEqual(Array(60).fill(201))
  })

  it('patients are limited to 50 a day by default', async () => {
    const pat = await api.register('Pat')
    expect(statuses(await times(52, () => add(pat, byDefault)))).toEqual([...Array(50).fill(201), 429, 429])
  })
})

describe('Uploads of an account', () => {
  const seen = async () => {
    const { person, id: doctorId } = await aDoctor()
    const { id } = await add(person)
    return { person, doctorId, id }
  }

  it('uploads are refused beyond the limit of a day, before their bytes are kept, and taken again when the day is over', async () => {
    const { person, id } = await seen()
    const answers = await times(4, () => upload(person, id))
    expect(statuses(answers)).toEqual([201, 201, 201, 429])
    expectLimit(answers[3], /^The limit is 3 reports uploaded a day by one account\. Try again in 24 hours\.$/)
    const files = await readdir(api.folder)
    // Refused without a look at the body, which is no form.
    const unread = await api.send('POST', `/api/patients/${id}/reports`, 'no form', { token: person.access })
    expectLimit(unread, /^The limit is 3 reports/)
    expect(await readdir(api.folder)).toEqual(files)
    await aDayLater()
    expect(statuses(await times(4, () => upload(person, id)))).toEqual([201, 201, 201, 429])
  })

  it('uploads are refused beyond so many MiB a day, and leave no file', async () => {
    const { person, id } = await seen()
    expect((await upload(person, id, form(600 * KiB))).status).toBe(201)
    const files = await readdir(api.folder)
    expectLimit(await upload(person, id, form(424 * KiB + 1)), /^The limit is 1 MiB uploaded a day by one account\. /)
    expect(await readdir(api.folder)).toEqual(files)
    expect(statuses([await upload(person, id, form(424 * KiB - 1)), await upload(person, id, form(1))])).toEqual([
      201, 201,
    ])
    await api.db.execute(sql`update daily_use set count = 1 where user_id = ${person.id}`)
    expectLimit(await upload(person, id, form(1)), /^The limit is 1 MiB uploaded a day/)
    const { person: other, id: others } = await seen()
    expectLimit(await upload(other, others, form(1024 * KiB + 1)), /^The limit is 1 MiB uploaded a day/)
    expect((await upload(other, others, form(1024 * KiB))).status).toBe(201)
  })

  it('uploads are counted apart from what else is limited', async () => {
    const pat = await api.register('Pat')
    const [first] = await times(3, () => add(pat))
    expect(statuses(await times(4, () => upload(pat, first?.id ?? '')))).toEqual([201, 201, 201, 429])
  })

  it('uploads count although they are deleted', async () => {
    const { person, id } = await seen()
    for (const report of await times(3, () => upload(person, id)))
      expect((await person.delete(`/api/reports/${report.id}`)).status).toBe(204)
    expect((await upload(person, id)).status).toBe(429)
  })

  it('uploads do not count where they are refused or fail, nor where a key makes an answer come again', async () => {
    const { person, id } = await seen()
    const absent = crypto.randomUUID()
    const refused = [
      () => upload(person, absent),
      () => upload(person, id, form(10, { appointmentId: absent })),
      () => upload(person, id, form('')),
      () => upload(person, id, form('PK\x03\x04\x14\0\0\0')),
    ]
    for (const [i, status] of [404, 400, 400, 415].entries())
      expect(statuses(await times(3, refused[i] ?? (() => upload(person, id))))).toEqual([status, status, status])
    const key = (name: string) => ({ 'Idempotency-Key': name })
    expect(statuses(await times(3, () => upload(person, id, form(10), api, key('a'))))).toEqual([201, 201, 201])
    expect(statuses(await times(3, () => upload(person, id)))).toEqual([201, 201, 429])
    // Answered already: that is no upload.
    const again = await upload(person, id, form(10), api, key('a'))
    expect([again.status, again.headers.get('Idempotent-Replayed')]).toEqual([201, 'true'])
    expect((await upload(person, id, form(11), api, key('a'))).status).toBe(422)
    expect((await upload(person, id, form(10), api, key('b'))).status).toBe(429)
    expect((await upload(person, absent, form(10), api, key('b'))).status).toBe(404)
  })

  it('uploads have no limit for administrators, or where it is 0', async () => {
    const { person, id } = await seen()
    expect(statuses(await times(5, () => upload(admin, id, form(300 * KiB))))).toEqual(Array(5).fill(201))
    expect(statuses(await times(5, () => upload(person, id, form(300 * KiB), none)))).toEqual(Array(5).fill(201))
    const other = await Api.start(url, { UPLOADS_PER_ACCOUNT_DAY: '0', UPLOAD_MIB_PER_ACCOUNT_DAY: '1' })
    const { person: second, id: theirs } = await seen()
    expect(statuses(await times(5, () => upload(second, theirs, form(256 * KiB), other)))).toEqual([
      ...Array(4).fill(201),
      429,
    ])
    await other.stop()
  })

  it('uploads are limited to 100 and 500 MiB a day by default', async () => {
    const { person, id } = await seen()
    expect((await upload(person, id, form(10), byDefault)).status).toBe(201)
    await api.db.execute(sql`update daily_use set count = 99 where user_id = ${person.id}`)
    expect(statuses(await times(2, () => upload(person, id, form(10), byDefault)))).toEqual([201, 429])
    await api.db.execute(
      sql`update daily_use set count = 1, bytes = 500 * 1024 * 1024 - 20 where user_id = ${person.id}`,
    )
    expect(statuses(await times(3, () => upload(person, id, form(10), byDefault)))).toEqual([201, 201, 429])
  })
})

it.each([
  [1, '1 second'],
  [2, '2 seconds'],
  [119, '119 seconds'],
  [120, '2 minutes'],
  [121, '3 minutes'],
  [7199, '120 minutes'],
  [7200, '2 hours'],
  [86_400, '24 hours'],
])('a refusal for %i s says to try again in %s', (seconds, words) => {
  const { details } = limitExceededProblem(api.env.config, 'UPLOADS_PER_ACCOUNT_DAY', seconds)
  expect(details.detail).toMatch(new RegExp(`\\. Try again in ${words}\\.$`))
  expect(details.headers).toEqual({ 'Retry-After': `${seconds}` })
})

describe('Sessions of an account', () => {
  const signIn = (email: string, at = api) => at.send('POST', '/api/auth/login', { email, password })
  const me = (token: string, at = api) => at.send('GET', '/api/auth/me', undefined, { token })

  it('an account has so many sessions at most: a further sign-in ends the oldest, at once, with an audit entry', async () => {
    const pat = await api.register('Pat')
    const tokens = [pat.access]
    for (let i = 0; i < 2; i += 1) tokens.push((await signIn(pat.email)).string('access'))
    for (const token of tokens) expect((await me(token)).status).toBe(200)
    const oldest = (await pat.get('/api/auth/sessions')).each('id').at(-1)
    const fourth = await signIn(pat.email)
    expect(fourth.status).toBe(200)
    tokens.push(fourth.string('access'))
    expect(statuses(await times(4, (i) => me(tokens[i] ?? '')))).toEqual([401, 200, 200, 200])
    expect((await api.send('POST', '/api/auth/refresh', { refresh: pat.refresh })).status).toBe(401)
    const listed = await api.send('GET', '/api/auth/sessions', undefined, { token: fourth.string('access') })
    expect(listed.list()).toHaveLength(3)
    const trail = await admin.get(`/api/audit?userId=${pat.id}&action=auth.logout`)
    expect(trail.each('resourceId')).toEqual([oldest])
  })

  it('sessions that were ended do not count', async () => {
    const pat = await api.register('Pat')
    for (let i = 0; i < 4; i += 1) {
      const { access, refresh } = Object(await signIn(pat.email)).body
      expect((await api.send('POST', '/api/auth/logout', { refresh }, { token: access })).status).toBe(204)
    }
    expect((await me(pat.access)).status).toBe(200)
  })

  it('sessions are as many for administrators, and have no limit where it is 0', async () => {
    const made = await admin.post('/api/users', {
      name: 'Second',
      email: `${crypto.randomUUID()}@example.org`,
      password,
      role: 'admin',
    })
    const email = made.string('email')
    const answers = await times(5, () => signIn(email))
    expect(statuses(await times(5, (i) => me(answers[i]?.string('access') ?? '')))).toEqual([401, 401, 200, 200, 200])
    const many = await times(5, () => signIn(email, none))
    expect(statuses(await times(5, (i) => me(many[i]?.string('access') ?? '', none)))).toEqual(Array(5).fill(200))
  })

  it('sessions are limited to 20 by default', async () => {
    const pat = await api.register('Pat')
    const answers = await times(20, () => signIn(pat.email, byDefault))
    expect((await me(pat.access, byDefault)).status).toBe(401)
    expect((await me(answers[0]?.string('access') ?? '', byDefault)).status).toBe(200)
  })
})

describe('Calendar feeds of an account', () => {
  const subscribe = ({ access: token }: Person, id: string, at = api, side = 'patients') =>
    at.send('POST', `/api/${side}/${id}/calendar-feed`, undefined, { token })

  it('feeds are refused beyond the limit, of doctors and of patients each, until one is ended', async () => {
    const { person, id: doctorId } = await aDoctor()
    const ids = (await times(4, () => add(person))).map(({ id }) => id)
    const answers = await times(3, (i) => subscribe(person, ids[i] ?? ''))
    expect(statuses(answers)).toEqual([201, 201, 429])
    expectLimit(
      answers[2],
      /^The limit is 2 calendar feeds of one account, of doctors and of patients each\. End one first, with DELETE \/api\/patients\/\{id\}\/calendar-feed\.$/,
    )
    expect((await subscribe(person, doctorId, api, 'doctors')).status).toBe(201)
    // In place of what there is.
    expect(statuses(await times(3, () => subscribe(person, ids[0] ?? '')))).toEqual([201, 201, 201])
    expect((await subscribe(person, crypto.randomUUID())).status).toBe(404)
    expect((await person.delete(`/api/patients/${ids[0]}/calendar-feed`)).status).toBe(204)
    expect((await subscribe(person, ids[2] ?? '')).status).toBe(201)
    expect((await subscribe(person, ids[3] ?? '')).status).toBe(429)
    // What shows nothing any more does not count.
    await person.delete(`/api/patients/${ids[1]}`)
    expect((await subscribe(person, ids[3] ?? '')).status).toBe(201)
  })

  it('feeds have no limit for administrators, or where it is 0', async () => {
    const { person } = await aDoctor()
    const ids = (await times(7, () => add(person))).map(({ id }) => id)
    expect(statuses(await times(7, (i) => subscribe(admin, ids[i] ?? '')))).toEqual(Array(7).fill(201))
    expect(statuses(await times(7, (i) => subscribe(person, ids[i] ?? '', none)))).toEqual(Array(7).fill(201))
  })

  it('feeds are limited to 5 by default', async () => {
    const { person } = await aDoctor()
    const ids = (await times(6, () => add(person))).map(({ id }) => id)
    expect(statuses(await times(6, (i) => subscribe(person, ids[i] ?? '', byDefault)))).toEqual([
      ...Array(5).fill(201),
      429,
    ])
  })
})
