import { describe, expect, it } from 'vitest'
import { type Answer, doctor, password, patient, world } from './support/api.ts'

const { api, admin } = await world()

const tagOf = (answer: Answer) => answer.headers.get('ETag') ?? ''
const made = async (path: string, body: unknown) => {
  const answer = await admin.post(path, body)
  expect(answer.status, answer.text).toBe(201)
  return { path: `${path}/${answer.id}`, id: answer.id, tag: tagOf(answer) }
}
const account = () => ({ name: 'Some One', email: `${crypto.randomUUID()}@example.org`, password, role: 'patient' })
const mapped = async () => {
  const [who, by] = [await made('/api/patients', patient()), await made('/api/doctors', doctor())]
  return { who, by, ...(await made('/api/mappings', { patientId: who.id, doctorId: by.id })) }
}
const booked = async () => {
  const [who, by] = [await made('/api/patients', patient()), await made('/api/doctors', doctor())]
  const times = { startsAt: '2099-01-01T09:00:00Z', endsAt: '2099-01-01T10:00:00Z' }
  return { who, by, ...(await made('/api/appointments', { patientId: who.id, doctorId: by.id, ...times })) }
}

const resources = [
  { name: 'a patient', make: () => made('/api/patients', patient()), change: { address: 'elsewhere' } },
  { name: 'a doctor', make: () => made('/api/doctors', doctor()), change: { experienceYears: 3 } },
  { name: 'an account', make: () => made('/api/users', account()), change: { name: 'New Name' } },
  { name: 'an appointment', make: booked, change: { reason: 'new' } },
]

describe.each([...resources, { name: 'a mapping', make: mapped, change: undefined }])('$name', ({ make }) => {
  it('a record has the same strong tag when it is made and when it is read', async () => {
    const { path, tag } = await make()
    expect(tag).toMatch(/^"[^"]+"$/)
    expect(tagOf(await admin.get(path))).toBe(tag)
  })

  it.each([
    ['its tag', (tag: string) => tag],
    ['its tag, weakly', (tag: string) => `W/${tag}`],
    ['its tag among others', (tag: string) => `"x", ${tag}`],
    ['any', () => '*'],
  ])('a record is not sent again to a client that has %s', async (_, header) => {
    const { path, tag } = await make()
    const answer = await admin.get(path, { 'If-None-Match': header(tag) })
    expect([answer.status, answer.text, tagOf(answer)]).toEqual([304, '', tag])
    expect((await admin.get(path, { 'If-None-Match': '"x"' })).status).toBe(200)
  })
})

describe.each(resources)('$name', ({ make, change }) => {
  it('a record’s tag changes with each change, and a change is made only to the version that it names', async () => {
    const { path, tag } = await make()
    const changed = await admin.patch(path, change, { 'If-Match': tag })
    expect(changed.status).toBe(200)
    expect(tagOf(changed)).not.toBe(tag)
    const stale = await admin.patch(path, change, { 'If-Match': tag })
    expect([stale.status, stale.at('type')]).toEqual([412, '/problems/precondition-failed'])
    expect(tagOf(await admin.get(path))).toBe(tagOf(changed))
    for (const header of [`"x", ${tagOf(changed)}`, '*'])
      expect((await admin.patch(path, change, { 'If-Match': header })).status).toBe(200)
    // As proxies that compress give it on: nginx makes it weak, Apache appends how.
    const compressed = [(of: string) => `W/${of}`, (of: string) => of.replace(/"$/, '-gzip"')]
    for (const passedOn of compressed) {
      const newest = tagOf(await admin.get(path))
      expect((await admin.get(path, { 'If-None-Match': passedOn(newest) })).status).toBe(304)
      expect((await admin.patch(path, change, { 'If-Match': passedOn(newest) })).status).toBe(200)
      expect((await admin.patch(path, change, { 'If-Match': passedOn(newest) })).status).toBe(412)
    }
  })
})

it.each(['mapping', 'appointment'])('a %s changes its tag with the names that it shows', async (kind) => {
  const { who, by, path, tag } = kind === 'mapping' ? await mapped() : await booked()
  await admin.patch(who.path, { name: 'Renamed' })
  const renamed = tagOf(await admin.get(path))
  expect(renamed).not.toBe(tag)
  await admin.patch(by.path, { name: 'Renamed' })
  expect(tagOf(await admin.get(path))).not.toBe(renamed)
})

it.each([
  ['patients', async () => made('/api/patients', patient())],
  ['doctors', async () => made('/api/doctors', doctor())],
  ['mappings', mapped],
])('the %s are deleted only in the version that is meant', async (_, make) => {
  const { path, tag } = await make()
  expect((await admin.delete(path, { 'If-Match': '"x"' })).status).toBe(412)
  expect((await admin.delete(path, { 'If-Match': tag })).status).toBe(204)
})

it('a part of a tag is another tag, and so is a tag around it', async () => {
  const { path } = await made('/api/patients', patient())
  for (let version = 1; version < 12; version += 1) await admin.patch(path, { address: `${version}` })
  expect(tagOf(await admin.get(path))).toBe('"12"')
  for (const other of [
    '"1"',
    '"2"',
    '"112"',
    '"120"',
    'W/"1"',
    '"1", "2"',
    '12',
    '"12',
    '12"',
    '"12-x"',
    'x"12"',
    '"12"x',
    'w/"12"',
  ]) {
    const answer = await admin.patch(path, { address: 'x' }, { 'If-Match': other })
    expect([other, answer.status, answer.at('type')]).toEqual([other, 412, '/problems/precondition-failed'])
    expect((await admin.get(path, { 'If-None-Match': other })).status).toBe(200)
  }
  // A conflict is told as such to who has the newest version.
  const one = await admin.post('/api/doctors', doctor())
  const other = await admin.post('/api/doctors', doctor())
  const taken = { email: one.at('email') }
  expect((await admin.patch(`/api/doctors/${other.id}`, taken, { 'If-Match': '"1"' })).status).toBe(409)
})

it('a PUT takes If-Match too, and so does one’s own account', async () => {
  const { path, tag } = await made('/api/patients', patient())
  expect((await admin.put(path, patient(), { 'If-Match': '"0"' })).status).toBe(412)
  expect((await admin.put(path, patient(), { 'If-Match': tag })).status).toBe(200)
  const person = await api.register('Me')
  const mine = tagOf(await person.get('/api/auth/me'))
  expect((await person.patch('/api/auth/me', { name: 'A' }, { 'If-Match': mine })).status).toBe(200)
  expect((await person.patch('/api/auth/me', { name: 'B' }, { 'If-Match': mine })).status).toBe(412)
})

it('a stale version is refused after what is wrong with the request and before a conflict', async () => {
  const [taken, other] = [await admin.post('/api/doctors', doctor()), await made('/api/doctors', doctor())]
  const person = await api.register('Someone')
  const stale = { 'If-Match': '"x"' }
  const email = { email: taken.at('email') }
  expect((await admin.patch(`/api/doctors/${crypto.randomUUID()}`, email, stale)).status).toBe(404)
  expect((await admin.patch(other.path, { email: 1 }, stale)).status).toBe(400)
  expect((await person.patch(other.path, email, stale)).status).toBe(403)
  expect((await admin.patch(other.path, email, stale)).status).toBe(412)
  expect((await admin.patch(other.path, email)).status).toBe(409)
})

it('the second of two who change the same version at once is refused', async () => {
  const { path, tag } = await made('/api/patients', patient())
  const answers = await Promise.all(
    [1, 2, 3, 4].map((i) => admin.patch(path, { address: `${i}` }, { 'If-Match': tag })),
  )
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 412, 412, 412])
})
