import { sql } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { type Answer, doctor, type Person, patient, world } from './support/api.ts'

const { api, admin } = await world()
const pia = await api.register('Pia Patient')

const absent = '01890000-0000-7000-8000-000000000000'
const hours = [
  { day: 'mon', from: '09:00', to: '12:30' },
  { day: 'mon', from: '12:30', to: '17:00' },
  { day: 'sun', from: '00:00', to: '24:00' },
]
const optionalFields = {
  phone: '+4930123456',
  licenseNumber: 'DE-4711',
  experienceYears: 12,
  timeZone: 'Europe/Berlin',
  workingHours: hours,
}
/** What an optional field is while nobody has set it. */
const bare = { phone: null, licenseNumber: null, experienceYears: null, timeZone: 'UTC', workingHours: null }
/** A doctor with every field; the licence is one of its own. */
const full = () => doctor({ ...optionalFields, licenseNumber: crypto.randomUUID() })

const added = async (more: Record<string, unknown> = {}) => (await admin.post('/api/doctors', doctor(more))).id

/** Someone whose account is of role doctor. */
async function medic(name: string): Promise<Person> {
  const person = await api.register(name)
  await api.db.execute(sql`update users set role = 'doctor' where id = ${person.id}`)
  return person
}

/** What an answer shows, but for when it last changed. */
const steady = ({ text }: Answer) => JSON.parse(text, (key, value) => (key === 'updatedAt' ? undefined : value))

describe('Creating a doctor', () => {
  it('a new doctor is answered with 201, and everyone signed in sees the doctor at its Location', async () => {
    const sent = full()
    const created = await admin.post('/api/doctors', sent)
    expect(created.status).toBe(201)
    expect(created.body).toEqual({
      ...sent,
      id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
      userId: null,
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      updatedAt: created.at('createdAt'),
    })
    expect(created.headers.get('Location')).toBe(`/api/doctors/${created.id}`)
    for (const person of [admin, pia]) {
      const read = await person.get(`/api/doctors/${created.id}`)
      expect([read.status, read.body]).toEqual([200, created.body])
    }
  })

  it('a new doctor needs no more than name, specialization and email', async () => {
    const sent = doctor()
    expect((await admin.post('/api/doctors', sent)).body).toMatchObject({ ...sent, ...bare, userId: null })
  })

  it('a new doctor is refused with the name of every required field that is missing', async () => {
    const refused = await admin.post('/api/doctors', {})
    expect([refused.status, ...refused.faults.toSorted()]).toEqual([400, 'email', 'name', 'specialization'])
  })
})

it.each<[field: string, sent: unknown, stored: unknown]>([
  ['name', '  Dr. Zoe\u0308 \n', 'Dr. Zo\u00eb'],
  ['name', 'ä'.repeat(200), 'ä'.repeat(200)],
  ['specialization', ' Gynécologie ', 'Gynécologie'],
  ['phone', '+49 (30) 123-45.67', '+49301234567'],
  ['phone', '', null],
  ['licenseNumber', ' DE 4712 ', 'DE 4712'],
  ['licenseNumber', '  ', null],
  ['experienceYears', 0, 0],
  ['experienceYears', 80, 80],
  ['experienceYears', null, null],
  ['timeZone', 'America/Argentina/Buenos_Aires', 'America/Argentina/Buenos_Aires'],
  ['timeZone', 'UTC', 'UTC'],
  ['timeZone', null, 'UTC'],
  ['timeZone', ' ', 'UTC'],
  ['workingHours', null, null],
  ['workingHours', [], []],
  ['workingHours', hours, hours],
  ['workingHours', hours.toReversed(), hours.toReversed()],
])('the value of %s %j is kept as %j, however it is sent', async (field, sent, stored) => {
  const id = await added()
  const answers = [
    await admin.patch(`/api/doctors/${id}`, { [field]: sent }),
    await admin.put(`/api/doctors/${id}`, doctor({ [field]: sent })),
    await admin.get(`/api/doctors/${id}`),
  ]
  expect(answers.map((answer) => [answer.status, answer.at(field)])).toEqual(Array(3).fill([200, stored]))
  await admin.delete(`/api/doctors/${id}`)
  const created = await admin.post('/api/doctors', doctor({ [field]: sent }))
  expect([created.status, created.at(field)]).toEqual([201, stored])
})

const span = (more: Record<string, unknown> = {}) => ({ day: 'mon', from: '09:00', to: '17:00', ...more })

it.each<[path: string, field: string, sent: unknown]>([
  ['name', 'name', ' '],
  ['name', 'name', null],
  ['name', 'name', 'x'.repeat(201)],
  ['name', 'name', 'NUL \0'],
  ['specialization', 'specialization', ''],
  ['specialization', 'specialization', null],
  ['specialization', 'specialization', 'x'.repeat(201)],
  ['email', 'email', 'nobody'],
  ['email', 'email', ''],
  ['email', 'email', null],
  ['email', 'email', `${'x'.repeat(243)}@example.org`],
  ['phone', 'phone', '030 1234567'],
  ['licenseNumber', 'licenseNumber', 4711],
  ['licenseNumber', 'licenseNumber', 'half \ud800'],
  ['experienceYears', 'experienceYears', -1],
  ['experienceYears', 'experienceYears', 81],
  ['experienceYears', 'experienceYears', 1.5],
  ['experienceYears', 'experienceYears', '12'],
  ['timeZone', 'timeZone', 'Mars/Olympus_Mons'],
  ['timeZone', 'timeZone', '+02:00'],
  ['timeZone', 'timeZone', 'Berlin'],
  ['timeZone', 'timeZone', 60],
  ['workingHours', 'workingHours', 'always'],
  ['workingHours', 'workingHours', span()],
  ['workingHours.0', 'workingHours', [null]],
  ['workingHours.0.day', 'workingHours', [span({ day: 'Monday' })]],
  ['workingHours.0.day', 'workingHours', [{ from: '09:00', to: '17:00' }]],
  ['workingHours.0.from', 'workingHours', [span({ from: '09:0' })]],
  ['workingHours.0.from', 'workingHours', [span({ from: '09:60' })]],
  ['workingHours.0.from', 'workingHours', [span({ from: '09:00:00' })]],
  ['workingHours.0.to', 'workingHours', [span({ to: '24:01' })]],
  ['workingHours.0.to', 'workingHours', [span({ to: '17:60' })]],
  ['workingHours.0.to', 'workingHours', [span({ to: '09:00' })]],
  ['workingHours.0.to', 'workingHours', [span({ to: '08:00' })]],
  ['workingHours.0.to', 'workingHours', [span({ from: '22:00', to: '02:00' })]],
  ['workingHours.0.room', 'workingHours', [span({ room: 7 })]],
  ['workingHours.1.from', 'workingHours', [span({ day: 'tue' }), span({ from: 9 })]],
  ['workingHours.1', 'workingHours', [span(), span({ from: '16:59', to: '18:00' })]],
  ['workingHours.1', 'workingHours', [span(), span()]],
  ['workingHours.1', 'workingHours', [span(), span({ from: '10:00', to: '11:00' })]],
  ['userId', 'userId', 'me'],
  ['id', 'id', absent],
  ['createdAt', 'createdAt', '2026-01-01T00:00:00.000Z'],
  ['deletedAt', 'deletedAt', null],
  ['self', 'self', true],
  ['nickname', 'nickname', 'Doc'],
])('a 400 names %s where %s is %j, and nothing changes', async (path, field, sent) => {
  const before = await admin.post('/api/doctors', full())
  const refusals = [
    await admin.post('/api/doctors', doctor({ [field]: sent })),
    await admin.put(`/api/doctors/${before.id}`, doctor({ [field]: sent })),
    await admin.patch(`/api/doctors/${before.id}`, { [field]: sent }),
  ]
  for (const refused of refusals) {
    expect(refused.status).toBe(400)
    expect(new Set(refused.faults)).toEqual(new Set([path]))
  }
  expect((await admin.get(`/api/doctors/${before.id}`)).body).toEqual(before.body)
})

describe('Changing a doctor', () => {
  it('a PUT clears each optional field that is absent', async () => {
    const before = await admin.post('/api/doctors', full())
    const sent = doctor({ name: 'New Name' })
    const after = await admin.put(`/api/doctors/${before.id}`, sent)
    expect(after.status).toBe(200)
    expect(after.body).toMatchObject({ ...sent, ...bare, id: before.id, createdAt: before.at('createdAt') })
    expect((await admin.get(`/api/doctors/${before.id}`)).body).toEqual(after.body)
  })

  it('a PUT needs every required field', async () => {
    const refused = await admin.put(`/api/doctors/${await added()}`, { name: 'New Name' })
    expect([refused.status, ...refused.faults.toSorted()]).toEqual([400, 'email', 'specialization'])
  })

  it.each(Object.entries(bare))('a PATCH with null clears %s alone', async (field, cleared) => {
    const before = await admin.post('/api/doctors', full())
    const after = await admin.patch(`/api/doctors/${before.id}`, { [field]: null })
    expect(after.status).toBe(200)
    expect(steady(after)).toEqual({ ...steady(before), [field]: cleared })
  })

  it.each([{ name: 'New Name' }, { workingHours: [] }, {}])('a PATCH with %j leaves all else', async (changes) => {
    const before = await admin.post('/api/doctors', full())
    const after = await admin.patch(`/api/doctors/${before.id}`, changes)
    expect(after.status).toBe(200)
    expect(steady(after)).toEqual({ ...steady(before), ...changes })
  })

  it.each([absent, '1'])('the id %s, which no doctor has, is a 404, whatever the body is', async (id) => {
    for (const body of [doctor(), doctor({ userId: absent }), { nickname: 'Doc' }, 'no JSON']) {
      expect((await admin.put(`/api/doctors/${id}`, body)).status).toBe(404)
      expect((await admin.patch(`/api/doctors/${id}`, body)).status).toBe(404)
    }
    expect((await admin.delete(`/api/doctors/${id}`)).status).toBe(404)
  })
})

describe.each<[field: string, value: () => string]>([
  ['email', () => `${crypto.randomUUID()}@example.org`],
  ['licenseNumber', () => crypto.randomUUID()],
])('%s', (field, value) => {
  it('no two live doctors share this value', async () => {
    const taken = value()
    const [holder, id] = [await added({ [field]: taken }), await added()]
    expect((await admin.post('/api/doctors', doctor({ [field]: taken }))).status).toBe(409)
    expect((await admin.put(`/api/doctors/${id}`, doctor({ [field]: taken }))).status).toBe(409)
    expect((await admin.patch(`/api/doctors/${id}`, { [field]: taken })).status).toBe(409)
    expect((await admin.patch(`/api/doctors/${holder}`, { [field]: taken })).status).toBe(200)
  })

  it('a deleted doctor’s value is free again, and the doctor cannot be restored beside its new holder', async () => {
    const taken = value()
    const first = await added({ [field]: taken })
    await admin.delete(`/api/doctors/${first}`)
    const second = await added({ [field]: taken })
    expect((await admin.post(`/api/doctors/${first}/restore`)).status).toBe(409)
    expect((await admin.get(`/api/doctors/${first}`)).status).toBe(404)
    await admin.patch(`/api/doctors/${second}`, { [field]: value() })
    expect((await admin.post(`/api/doctors/${first}/restore`)).status).toBe(200)
  })
})

it('the case of a doctor’s e-mail address is ignored', async () => {
  const name = crypto.randomUUID()
  expect((await admin.post('/api/doctors', doctor({ email: ` ${name}@Example.ORG` }))).at('email')).toBe(
    `${name}@example.org`,
  )
  expect((await admin.post('/api/doctors', doctor({ email: `${name.toUpperCase()}@EXAMPLE.org` }))).status).toBe(409)
})

it('any number of doctors have no licence', async () => {
  for (const licenseNumber of [null, null, ' '])
    expect((await admin.post('/api/doctors', doctor({ licenseNumber }))).status).toBe(201)
})

describe('The userId of a doctor', () => {
  it('a doctor’s userId must be an account of role doctor', async () => {
    const id = await added()
    for (const userId of [admin.id, pia.id, absent]) {
      const refusals = [
        await admin.post('/api/doctors', doctor({ userId })),
        await admin.put(`/api/doctors/${id}`, doctor({ userId })),
        await admin.patch(`/api/doctors/${id}`, { userId }),
      ]
      expect(refusals.map(({ status, faults }) => [status, faults])).toEqual(Array(3).fill([400, ['userId']]))
    }
  })

  it('an account is linked to one live doctor at most', async () => {
    const userId = (await medic('Una Unique')).id
    const [first, second] = [await added({ userId }), await added()]
    expect((await admin.post('/api/doctors', doctor({ userId }))).status).toBe(409)
    expect((await admin.patch(`/api/doctors/${second}`, { userId })).status).toBe(409)
    await admin.delete(`/api/doctors/${first}`)
    expect((await admin.patch(`/api/doctors/${second}`, { userId })).at('userId')).toBe(userId)
    expect((await admin.post(`/api/doctors/${first}/restore`)).status).toBe(409)
  })

  it('a doctor’s userId is cleared by an administrator’s PUT without it', async () => {
    const userId = (await medic('Cleo Cleared')).id
    const id = await added({ userId })
    expect((await admin.put(`/api/doctors/${id}`, doctor())).at('userId')).toBeNull()
    expect((await admin.post('/api/doctors', doctor({ userId }))).status).toBe(201)
  })

  it('a deleted doctor is not restored once its account has another role', async () => {
    const account = await medic('Rob Relabelled')
    const id = await added({ userId: account.id })
    await admin.delete(`/api/doctors/${id}`)
    await api.db.execute(sql`update users set role = 'patient' where id = ${account.id}`)
    expect((await admin.post(`/api/doctors/${id}/restore`)).status).toBe(409)
  })
})

describe('A doctor with a linked account', () => {
  it('a doctor with an account changes their own profile, and the link stays', async () => {
    const me = await medic('Olga Own')
    const id = await added({ userId: me.id })
    const patched = await me.patch(`/api/doctors/${id}`, { name: 'Dr. Own', workingHours: hours })
    expect(patched.status).toBe(200)
    expect(patched.body).toMatchObject({ name: 'Dr. Own', workingHours: hours, userId: me.id })
    const put = await me.put(`/api/doctors/${id}`, doctor({ name: 'Dr. O' }))
    expect(put.status).toBe(200)
    expect(put.body).toMatchObject({ ...bare, name: 'Dr. O', userId: me.id })
  })

  it('a doctor may not send userId, not even their own', async () => {
    const me = await medic('Lena Link')
    const id = await added({ userId: me.id })
    for (const userId of [me.id, null, absent]) {
      expect((await me.patch(`/api/doctors/${id}`, { userId })).status).toBe(403)
      expect((await me.put(`/api/doctors/${id}`, doctor({ userId }))).status).toBe(403)
    }
    expect((await me.get(`/api/doctors/${id}`)).at('userId')).toBe(me.id)
  })

  it('a doctor may not change another doctor, and gets 404 for one who is not there', async () => {
    const me = await medic('Ida Idle')
    await added({ userId: me.id })
    const another = await added()
    expect((await me.patch(`/api/doctors/${another}`, { name: 'x' })).status).toBe(403)
    expect((await me.put(`/api/doctors/${another}`, doctor())).status).toBe(403)
    for (const body of [{ name: 'x' }, { userId: me.id }, { nickname: 'x' }])
      expect((await me.patch(`/api/doctors/${absent}`, body)).status).toBe(404)
  })

  it('a doctor gets 409 for an e-mail address of another doctor', async () => {
    const me = await medic('Cora Conflict')
    const id = await added({ userId: me.id })
    const { email } = doctor()
    await added({ email })
    expect((await me.patch(`/api/doctors/${id}`, { email })).status).toBe(409)
  })
})

it('only an administrator adds, deletes and restores doctors', async () => {
  const me = await medic('Nora NoAdmin')
  const id = await added({ userId: me.id })
  for (const person of [me, pia])
    for (const path of [`/api/doctors/${id}`, `/api/doctors/${absent}`]) {
      expect((await person.post('/api/doctors', doctor())).status).toBe(403)
      expect((await person.delete(path)).status).toBe(403)
      expect((await person.post(`${path}/restore`)).status).toBe(403)
    }
  expect((await pia.patch(`/api/doctors/${id}`, { name: 'x' })).status).toBe(403)
  expect((await pia.put(`/api/doctors/${absent}`, doctor())).status).toBe(403)
})

describe('A deleted doctor', () => {
  /** A doctor with an account and a patient of theirs. */
  async function practising() {
    const account = await medic('Paul Practising')
    const specialization = crypto.randomUUID()
    const { id } = await admin.post('/api/doctors', { ...full(), specialization, userId: account.id })
    const patientId = (await admin.post('/api/patients', patient())).id
    const mapping = (await admin.post('/api/mappings', { patientId, doctorId: id })).id
    return { account, id, specialization, patientId, mapping }
  }

  it('a deleted doctor is hidden everywhere', async () => {
    const { id, specialization, patientId, mapping } = await practising()
    const deleted = await admin.delete(`/api/doctors/${id}`)
    expect([deleted.status, deleted.text]).toEqual([204, ''])
    for (const path of [`/api/doctors/${id}`, `/api/doctors/${id}/patients`, `/api/mappings/${mapping}`])
      expect([path, (await admin.get(path)).status]).toEqual([path, 404])
    for (const path of [
      `/api/doctors?specialization=${specialization}`,
      `/api/doctors?q=${specialization}`,
      `/api/patients?doctorId=${id}`,
      `/api/mappings?doctorId=${id}`,
      `/api/mappings?patientId=${patientId}`,
    ])
      expect([path, (await admin.get(path)).at('results')]).toEqual([path, []])
    for (const path of [`/api/patients/${patientId}/doctors`, `/api/mappings/${patientId}`])
      expect([path, (await admin.get(path)).at('results')]).toEqual([path, []])
    expect((await admin.put(`/api/doctors/${id}`, doctor())).status).toBe(404)
    expect((await admin.patch(`/api/doctors/${id}`, { name: 'x' })).status).toBe(404)
    expect((await admin.delete(`/api/doctors/${id}`)).status).toBe(404)
    const mapped = await admin.post('/api/mappings', { patientId, doctorId: id })
    expect([mapped.status, mapped.faults]).toEqual([400, ['doctorId']])
  })

  it('a deleted doctor no longer sees their patients', async () => {
    const { account, id, patientId } = await practising()
    expect((await account.get(`/api/patients/${patientId}`)).status).toBe(200)
    await admin.delete(`/api/doctors/${id}`)
    expect((await account.get(`/api/patients/${patientId}`)).status).toBe(404)
    expect((await account.patch(`/api/doctors/${id}`, { name: 'x' })).status).toBe(404)
  })

  it('a restored doctor is complete and has its account', async () => {
    const { account, id } = await practising()
    const before = await admin.get(`/api/doctors/${id}`)
    await admin.delete(`/api/doctors/${id}`)
    const restored = await admin.post(`/api/doctors/${id}/restore`)
    expect(restored.status).toBe(200)
    expect(steady(restored)).toEqual(steady(before))
    expect((await admin.get(`/api/doctors/${id}`)).body).toEqual(restored.body)
    expect((await account.patch(`/api/doctors/${id}`, { name: 'Back' })).status).toBe(200)
  })

  it('a restored doctor has none of the mappings that ended, and can be mapped anew', async () => {
    const { account, id, patientId } = await practising()
    await admin.delete(`/api/doctors/${id}`)
    await admin.post(`/api/doctors/${id}/restore`)
    expect((await account.get(`/api/patients/${patientId}`)).status).toBe(404)
    expect((await admin.post('/api/mappings', { patientId, doctorId: id })).status).toBe(201)
    expect((await account.get(`/api/patients/${patientId}`)).status).toBe(200)
  })

  it('a doctor is restored once: 409 where it is live, 404 where there is none', async () => {
    const id = await added()
    expect((await admin.post(`/api/doctors/${id}/restore`)).status).toBe(409)
    await admin.delete(`/api/doctors/${id}`)
    expect((await admin.post(`/api/doctors/${id}/restore`)).status).toBe(200)
    expect((await admin.post(`/api/doctors/${id}/restore`)).status).toBe(409)
    expect((await admin.post(`/api/doctors/${absent}/restore`)).status).toBe(404)
  })
})

describe('The filter by specialization', () => {
  it.each<[string, string, string, boolean]>([
    ['the same', 'Cardiology', 'Cardiology', true],
    ['another case', 'Neurología', 'NEUROLOGÍA', true],
    ['a part', 'Cardiology', 'Cardio', false],
    ['other accents', 'Pédiatrie', 'Pediatrie', false],
    ['a pattern', 'Cardiology', 'C%', false],
  ])('the filter by specialization is exact but for case: %s', async (_, stored, asked, found) => {
    const tag = crypto.randomUUID()
    const id = await added({ specialization: `${stored} ${tag}` })
    const query = new URLSearchParams({ specialization: `${asked} ${tag}` })
    expect((await pia.get(`/api/doctors?${query}`)).each('id')).toEqual(found ? [id] : [])
  })
})
