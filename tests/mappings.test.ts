import { sql } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { doctor, type Person, patient, world } from './support/api.ts'

const { api, admin } = await world()

const absent = '01890000-0000-7000-8000-000000000000'

/** Someone whose account is of role doctor, and the profile linked to it. */
async function medic(name: string) {
  const person = await api.register(name)
  await api.db.execute(sql`update users set role = 'doctor' where id = ${person.id}`)
  return { person, profile: await addDoctor({ userId: person.id }) }
}

const addDoctor = async (more: Record<string, unknown> = {}) => (await admin.post('/api/doctors', doctor(more))).id
const addPatient = async (by: Person, more: Record<string, unknown> = {}) =>
  (await by.post('/api/patients', patient(more))).id
const map = async (patientId: string, doctorId: string) =>
  (await admin.post('/api/mappings', { patientId, doctorId })).id

const treating = await medic('Tara Treating')
const idle = await medic('Ivan Idle')
const adder = await api.register('Adam Adder')
const linked = await api.register('Lia Linked')
const stranger = await api.register('Sam Stranger')
/** A patient whom `adder` added, who is `linked`, and whom `treating` treats; nobody else sees them. */
const known = await addPatient(adder)
await admin.patch(`/api/patients/${known}`, { userId: linked.id })
await map(known, treating.profile)

const everyone: Record<string, Person> = {
  admin,
  'the doctor who treats them': treating.person,
  'another doctor': idle.person,
  'the one who added them': adder,
  'the patient': linked,
  'a stranger': stranger,
}
const person = (who: string): Person => {
  const found = everyone[who]
  if (!found) throw new Error(`nobody is ${who}`)
  return found
}

describe('Creating a mapping', () => {
  it('a new mapping is answered with 201 and both sides, and then stands at its Location', async () => {
    const [patientId, doctorId] = [await addPatient(admin, { name: 'Pat' }), await addDoctor({ name: 'Dr. D' })]
    const created = await admin.post('/api/mappings', { patientId, doctorId })
    expect(created.status).toBe(201)
    expect(created.body).toEqual({
      id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
      patientId,
      doctorId,
      createdBy: admin.id,
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      patient: { id: patientId, name: 'Pat' },
      doctor: { id: doctorId, name: 'Dr. D', specialization: 'Cardiology' },
    })
    expect(created.headers.get('Location')).toBe(`/api/mappings/${created.id}`)
    const read = await admin.get(`/api/mappings/${created.id}`)
    expect([read.status, read.body]).toEqual([200, created.body])
  })

  it('a mapping is a 409 where the pair is mapped already, until that mapping is deleted', async () => {
    const pair = { patientId: await addPatient(admin), doctorId: await addDoctor() }
    const { id } = await admin.post('/api/mappings', pair)
    expect((await admin.post('/api/mappings', pair)).status).toBe(409)
    expect((await admin.post('/api/mappings', { ...pair, doctorId: await addDoctor() })).status).toBe(201)
    expect((await admin.post('/api/mappings', { ...pair, patientId: await addPatient(admin) })).status).toBe(201)
    await admin.delete(`/api/mappings/${id}`)
    expect((await admin.post('/api/mappings', pair)).status).toBe(201)
  })

  it.each<[faults: string[], body: unknown]>([
    [['doctorId', 'patientId'], {}],
    [['doctorId', 'patientId'], { patientId: absent, doctorId: absent }],
    [['doctorId', 'patientId'], { patientId: 'x', doctorId: 1 }],
    [['doctorId'], { patientId: known }],
    [['doctorId'], { patientId: known, doctorId: known }],
    [['doctorId'], { patientId: known, doctorId: null }],
    [['patientId'], { patientId: idle.profile, doctorId: idle.profile }],
    [['note'], { patientId: known, doctorId: idle.profile, note: 'x' }],
    [['createdBy'], { patientId: known, doctorId: idle.profile, createdBy: absent }],
    [[''], []],
  ])('a mapping is a 400 that names %j for %j', async (faults, body) => {
    const refused = await admin.post('/api/mappings', body)
    expect([refused.status, refused.faults.toSorted()]).toEqual([400, faults])
  })

  it('a mapping takes ids in upper case', async () => {
    const [patientId, doctorId] = [await addPatient(admin), await addDoctor()]
    const body = { patientId: patientId.toUpperCase(), doctorId: doctorId.toUpperCase() }
    expect((await admin.post('/api/mappings', body)).body).toMatchObject({ patientId, doctorId })
  })
})

it('a mapping shows the names that its patient and doctor have now', async () => {
  const [patientId, doctorId] = [await addPatient(admin), await addDoctor()]
  const path = `/api/mappings/${await map(patientId, doctorId)}`
  await admin.patch(`/api/patients/${patientId}`, { name: 'New Patient' })
  await admin.patch(`/api/doctors/${doctorId}`, { name: 'New Doctor', specialization: 'Oncology' })
  expect((await admin.get(path)).body).toMatchObject({
    patient: { id: patientId, name: 'New Patient' },
    doctor: { id: doctorId, name: 'New Doctor', specialization: 'Oncology' },
  })
})

describe('GET /api/mappings/{id}', () => {
  it('a patient’s id in place of a mapping’s gives the list of that patient’s mappings', async () => {
    const patientId = await addPatient(admin)
    const empty = await admin.get(`/api/mappings/${patientId}`)
    expect([empty.status, empty.body]).toEqual([200, { results: [], next: null }])
    const first = await map(patientId, await addDoctor())
    const second = await map(patientId, await addDoctor())
    await map(await addPatient(admin), await addDoctor())
    const list = await admin.get(`/api/mappings/${patientId}?limit=1&count=true`)
    expect([list.each('id'), list.at('count')]).toEqual([[second], 2])
    expect((await admin.get(list.string('next'))).body).toMatchObject({ results: [{ id: first }], next: null })
    expect(list.list()).toEqual([(await admin.get(`/api/mappings/${second}`)).body])
  })

  it('a doctor’s id, any other and no UUID in place of a mapping’s is a 404', async () => {
    for (const id of [treating.profile, absent, 'x', admin.id])
      expect((await admin.get(`/api/mappings/${id}`)).status).toBe(404)
  })

  it('a mapping that is not there is a 404, whatever the query is', async () => {
    for (const query of ['?page=2', '?cursor=x', '?limit=0'])
      expect([query, (await admin.get(`/api/mappings/${absent}${query}`)).status]).toEqual([query, 404])
  })
})

describe('Deleting a mapping', () => {
  it('a deletion is answered with 204 once and with 404 from then on', async () => {
    const path = `/api/mappings/${await map(await addPatient(admin), await addDoctor())}`
    const deleted = await admin.delete(path)
    expect([deleted.status, deleted.text]).toEqual([204, ''])
    expect((await admin.delete(path)).status).toBe(404)
    expect((await admin.get(path)).status).toBe(404)
  })

  it('a deletion with a patient’s or a doctor’s id deletes nothing', async () => {
    for (const id of [known, treating.profile]) expect((await admin.delete(`/api/mappings/${id}`)).status).toBe(404)
    expect((await admin.get(`/api/mappings/${known}`)).list()).toHaveLength(1)
  })
})

it('a mapping gives the doctor access to the patient at once, and its deletion takes it away at once', async () => {
  const { person: me, profile } = await medic('Greta Granted')
  const patientId = await addPatient(admin, { name: `Pat ${me.id}` })
  const items = [`/api/patients/${patientId}`, `/api/patients/${patientId}/doctors`, `/api/mappings/${patientId}`]
  const lists = [
    '/api/patients',
    '/api/mappings',
    `/api/doctors/${profile}/patients`,
    `/api/patients?doctorId=${profile}`,
    `/api/patients?q=${me.id}`,
  ]
  const seen = async () => ({
    items: await Promise.all(items.map(async (path) => (await me.get(path)).status)),
    rows: await Promise.all(lists.map(async (path) => (await me.get(path)).list().length)),
    update: (await me.patch(`/api/patients/${patientId}`, { address: 'here' })).status,
  })
  const nothing = { items: [404, 404, 404], rows: [0, 0, 0, 0, 0], update: 404 }
  expect(await seen()).toEqual(nothing)
  const mapping = await map(patientId, profile)
  expect(await seen()).toEqual({ items: [200, 200, 200], rows: [1, 1, 1, 1, 1], update: 200 })
  await admin.delete(`/api/mappings/${mapping}`)
  expect(await seen()).toEqual(nothing)
})

it('a mapping gives access to the doctor whose account is linked now, and to no other', async () => {
  const { person: me, profile } = await medic('Ursula Unlinked')
  const patientId = await addPatient(admin)
  await map(patientId, profile)
  expect((await me.get(`/api/patients/${patientId}`)).status).toBe(200)
  await admin.patch(`/api/doctors/${profile}`, { userId: null })
  expect((await me.get(`/api/patients/${patientId}`)).status).toBe(404)
})

describe('Permissions for mappings', () => {
  it.each([
    ['admin', 201],
    ['the doctor who treats them', 403],
    ['another doctor', 400],
    ['the one who added them', 201],
    ['the patient', 201],
    ['a stranger', 400],
  ])('a request to give a patient a doctor depends on the caller: %s gets %i', async (who, status) => {
    const answer = await person(who).post('/api/mappings', { patientId: known, doctorId: await addDoctor() })
    expect(answer.status).toBe(status)
    if (status === 400) expect(answer.faults).toEqual(['patientId'])
  })

  it.each([
    ['admin', 200, 204],
    ['the doctor who treats them', 200, 403],
    ['another doctor', 404, 404],
    ['the one who added them', 200, 204],
    ['the patient', 200, 204],
    ['a stranger', 404, 404],
  ])(
    'a request to see and delete another doctor’s mapping depends on the caller: %s gets %i and %i',
    async (who, read, deleted) => {
      const path = `/api/mappings/${await map(known, await addDoctor())}`
      expect((await person(who).get(path)).status).toBe(read)
      expect((await person(who).delete(path)).status).toBe(deleted)
      expect((await admin.get(path)).status).toBe(deleted === 204 ? 404 : 200)
    },
  )

  it('a doctor may delete a mapping of their own', async () => {
    const mapping = await map(await addPatient(admin), treating.profile)
    expect((await idle.person.delete(`/api/mappings/${mapping}`)).status).toBe(404)
    expect((await treating.person.delete(`/api/mappings/${mapping}`)).status).toBe(204)
  })

  it('a doctor who added the patient may map and unmap any doctor', async () => {
    const patientId = await addPatient(idle.person)
    const mapping = await idle.person.post('/api/mappings', { patientId, doctorId: treating.profile })
    expect(mapping.status).toBe(201)
    expect((await idle.person.delete(`/api/mappings/${mapping.id}`)).status).toBe(204)
  })

  it.each(Object.keys(everyone))(
    'a list of mappings depends on the caller: %s sees those of the patients they see',
    async (who) => {
      const hidden = await map(await addPatient(admin), idle.profile)
      const isAdmin = who === 'admin'
      const sees = !['another doctor', 'a stranger'].includes(who)
      const ids = async (path: string) => (await person(who).get(path)).each('patientId')
      expect(new Set(await ids(`/api/mappings?patientId=${known}`))).toEqual(new Set(sees ? [known] : []))
      expect((await ids(`/api/mappings?doctorId=${treating.profile}`)).includes(known)).toBe(sees)
      const answer = await person(who).get('/api/mappings?limit=100')
      expect(answer.each('id').includes(hidden)).toBe(isAdmin || who === 'another doctor')
    },
  )
})

describe('Conflicts of mappings', () => {
  it('a conflict is a 409 to whoever may map the patient', async () => {
    const refused = await adder.post('/api/mappings', { patientId: known, doctorId: treating.profile })
    expect(refused.status).toBe(409)
  })

  it('a conflict is a 403 to others who see the patient, and a 400 to those who do not', async () => {
    const pair = { patientId: known, doctorId: treating.profile }
    expect((await treating.person.post('/api/mappings', pair)).status).toBe(403)
    expect((await stranger.post('/api/mappings', pair)).status).toBe(400)
  })
})

describe('A patient’s doctors', () => {
  it('a patient’s doctors are shown with all their fields', async () => {
    const patientId = await addPatient(admin)
    const [first, second] = [await addDoctor(), await addDoctor()]
    await map(patientId, second)
    await map(patientId, first)
    const list = await admin.get(`/api/patients/${patientId}/doctors`)
    expect(new Set(list.each('id'))).toEqual(new Set([first, second]))
    expect(list.list()).toContainEqual((await admin.get(`/api/doctors/${first}`)).body)
  })

  it.each([
    ['admin', 200],
    ['the doctor who treats them', 200],
    ['another doctor', 404],
    ['the one who added them', 200],
    ['the patient', 200],
    ['a stranger', 404],
  ])('a patient’s doctors are shown to those who see the patient: %s gets %i', async (who, status) => {
    expect((await person(who).get(`/api/patients/${known}/doctors`)).status).toBe(status)
  })

  it('a patient’s doctors are a 404 where the patient is not seen, whatever the query is', async () => {
    for (const query of ['?page=2', '?cursor=x', '?limit=0'])
      for (const id of [known, absent])
        expect([query, (await stranger.get(`/api/patients/${id}/doctors${query}`)).status]).toEqual([query, 404])
  })
})

describe('A doctor’s patients', () => {
  it('a doctor’s patients are shown with all their fields, and only those the caller sees', async () => {
    const doctorId = await addDoctor()
    const [mine, yours] = [await addPatient(adder), await addPatient(stranger)]
    await map(mine, doctorId)
    await map(yours, doctorId)
    const path = `/api/doctors/${doctorId}/patients?count=true`
    expect(new Set((await admin.get(path)).each('id'))).toEqual(new Set([mine, yours]))
    const list = await adder.get(path)
    expect(list.body).toEqual({ results: [(await adder.get(`/api/patients/${mine}`)).body], next: null, count: 1 })
    expect((await idle.person.get(path)).body).toEqual({ results: [], next: null, count: 0 })
  })

  it('a doctor’s patients are a 404 where there is no such doctor, whatever the query is', async () => {
    for (const query of ['', '?page=2', '?cursor=x'])
      expect([query, (await admin.get(`/api/doctors/${absent}/patients${query}`)).status]).toEqual([query, 404])
  })
})

it('mappings are filtered by patient and doctor together', async () => {
  const [patientId, doctorId] = [await addPatient(admin), await addDoctor()]
  const mapping = await map(patientId, doctorId)
  await map(patientId, await addDoctor())
  await map(await addPatient(admin), doctorId)
  const list = await admin.get(`/api/mappings?patientId=${patientId}&doctorId=${doctorId}&count=true`)
  expect([list.each('id'), list.at('count')]).toEqual([[mapping], 1])
  for (const query of [`patientId=${absent}`, `doctorId=${absent}`])
    expect((await admin.get(`/api/mappings?${query}`)).each('id')).toEqual([])
})
