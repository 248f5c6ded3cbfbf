import { sql } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { type Answer, doctor, patient, world } from './support/api.ts'

const { api, admin } = await world()
const pia = await api.register('Pia Patient')
const other = await api.register('Otto Other')
const medic = await api.register('Mia Medic')
await api.db.execute(sql`update users set role = 'doctor' where id = ${medic.id}`)

const absent = '01890000-0000-7000-8000-000000000000'
const day = (fromToday: number) => new Date(Date.now() + fromToday * 86_400_000).toISOString().slice(0, 10)
const optionalFields = {
  phone: '+4930123456',
  email: 'pat@example.org',
  address: '1 Long Street, Town',
  bloodGroup: 'AB-',
  allergies: ['Nuts', 'Penicillin'],
  medicalHistory: 'Appendix out in 1999.\nOtherwise well.',
}
const full = { ...patient(), ...optionalFields }
const bare = { phone: null, email: null, address: null, bloodGroup: null, allergies: [], medicalHistory: null }

const added = async (more: Record<string, unknown> = {}) => (await admin.post('/api/patients', patient(more))).id

/** What an answer shows, but for when it last changed. */
const steady = ({ text }: Answer) => JSON.parse(text, (key, value) => (key === 'updatedAt' ? undefined : value))

describe('Creating a patient', () => {
  it('a new patient is answered with 201, and then stands at its Location', async () => {
    const created = await admin.post('/api/patients', full)
    expect(created.status).toBe(201)
    expect(created.body).toEqual({
      ...full,
      id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
      userId: null,
      createdBy: admin.id,
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
      updatedAt: created.at('createdAt'),
    })
    expect(created.headers.get('Location')).toBe(`/api/patients/${created.id}`)
    const read = await admin.get(`/api/patients/${created.id}`)
    expect([read.status, read.body]).toEqual([200, created.body])
  })

  it('a new patient needs no more than name, dateOfBirth and gender', async () => {
    const created = await pia.post('/api/patients', patient())
    expect(created.body).toMatchObject({ ...patient(), ...bare, userId: null, createdBy: pia.id })
  })

  it('a new patient is refused with the name of every required field that is missing', async () => {
    const refused = await admin.post('/api/patients', {})
    expect([refused.status, ...refused.faults.toSorted()]).toEqual([400, 'dateOfBirth', 'gender', 'name'])
  })

  it('a new patient gets the last of two equal keys', async () => {
    const created = await admin.post(
      '/api/patients',
      '{"name":"A","name":"B","dateOfBirth":"2000-01-01","gender":"other"}',
      {
        'Content-Type': 'application/json',
      },
    )
    expect(created.at('name')).toBe('B')
  })
})

it.each<[field: string, sent: unknown, stored: unknown]>([
  ['name', '  Zoë Blank\t', 'Zoë Blank'],
  ['name', 'Zoe\u0308', 'Zo\u00eb'],
  ['name', '\u{1d11e}'.repeat(200), '\u{1d11e}'.repeat(200)],
  ['name', 'e\u0301'.repeat(200), '\u00e9'.repeat(200)],
  ['name', `Robert'); drop table patients; -- "\\`, `Robert'); drop table patients; -- "\\`],
  ['dateOfBirth', '1900-01-01', '1900-01-01'],
  ['dateOfBirth', '2024-02-29', '2024-02-29'],
  ['dateOfBirth', day(0), day(0)],
  ['gender', 'unknown', 'unknown'],
  ['phone', '+49 (30) 123-45.67', '+49301234567'],
  ['phone', ' +1 [555] 0100 ', '+15550100'],
  ['phone', ' ', null],
  ['email', ' Pat.O+x@Example.ORG ', 'pat.o+x@example.org'],
  ['email', '', null],
  ['address', ' 1 Long Street\n ', '1 Long Street'],
  ['address', '\n\t ', null],
  ['address', 'ä'.repeat(500), 'ä'.repeat(500)],
  ['bloodGroup', 'O+', 'O+'],
  ['bloodGroup', '', null],
  ['allergies', null, []],
  ['allergies', [' Nuts ', 'Cafe\u0301'], ['Nuts', 'Caf\u00e9']],
  [
    'allergies',
    ['a, "b"', '{c}', 'd\\e', 'NULL', "f'", '{}', 'g\nh'],
    ['a, "b"', '{c}', 'd\\e', 'NULL', "f'", '{}', 'g\nh'],
  ],
  ['allergies', Array(100).fill('x'.repeat(200)), Array(100).fill('x'.repeat(200))],
  ['medicalHistory', '  ', null],
  ['medicalHistory', 'é'.repeat(20_000), 'é'.repeat(20_000)],
])('the value of %s %j is kept as %j, however it is sent', async (field, sent, stored) => {
  const created = await admin.post('/api/patients', patient({ [field]: sent }))
  expect([created.status, created.at(field)]).toEqual([201, stored])
  const id = await added()
  const patched = await admin.patch(`/api/patients/${id}`, { [field]: sent })
  expect([patched.status, patched.at(field)]).toEqual([200, stored])
  const put = await admin.put(`/api/patients/${id}`, patient({ [field]: sent }))
  expect([put.status, put.at(field)]).toEqual([200, stored])
  expect((await admin.get(`/api/patients/${id}`)).at(field)).toEqual(stored)
})

it.each<[path: string, field: string, sent: unknown]>([
  ['name', 'name', ''],
  ['name', 'name', ' \t'],
  ['name', 'name', null],
  ['name', 'name', 5],
  ['name', 'name', 'x'.repeat(201)],
  ['name', 'name', 'NUL \0'],
  ['name', 'name', 'half \ud800'],
  ['dateOfBirth', 'dateOfBirth', '2023-02-29'],
  ['dateOfBirth', 'dateOfBirth', '1899-12-31'],
  ['dateOfBirth', 'dateOfBirth', day(2)],
  ['dateOfBirth', 'dateOfBirth', '1.2.2000'],
  ['dateOfBirth', 'dateOfBirth', '2000-1-2'],
  ['dateOfBirth', 'dateOfBirth', '2000-01-02T00:00:00Z'],
  ['dateOfBirth', 'dateOfBirth', null],
  ['gender', 'gender', 'Female'],
  ['gender', 'gender', ''],
  ['gender', 'gender', null],
  ['phone', 'phone', '030 1234567'],
  ['phone', 'phone', '+0301234567'],
  ['phone', 'phone', '+1234567890123456'],
  ['phone', 'phone', '+49 30 CALL'],
  ['phone', 'phone', 4930123456],
  ['email', 'email', 'nobody'],
  ['email', 'email', 'a@b@example.org'],
  ['email', 'email', `${'x'.repeat(243)}@example.org`],
  ['address', 'address', 'x'.repeat(501)],
  ['address', 'address', 'NUL \0'],
  ['bloodGroup', 'bloodGroup', 'C+'],
  ['bloodGroup', 'bloodGroup', 'a+'],
  ['allergies', 'allergies', 'Nuts'],
  ['allergies', 'allergies', Array(101).fill('x')],
  ['allergies.1', 'allergies', ['Nuts', ' ']],
  ['allergies.0', 'allergies', [null]],
  ['allergies.0', 'allergies', ['x'.repeat(201)]],
  ['medicalHistory', 'medicalHistory', 'x'.repeat(20_001)],
  ['medicalHistory', 'medicalHistory', 'half \udc00'],
  ['userId', 'userId', 'me'],
  ['id', 'id', absent],
  ['createdBy', 'createdBy', absent],
  ['createdAt', 'createdAt', '2026-01-01T00:00:00.000Z'],
  ['updatedAt', 'updatedAt', '2026-01-01T00:00:00.000Z'],
  ['deletedAt', 'deletedAt', null],
  ['nickname', 'nickname', 'Patty'],
])('a 400 names %s where %s is %j, and nothing changes', async (path, field, sent) => {
  const before = await admin.post('/api/patients', full)
  const refusals = [
    await admin.post('/api/patients', patient({ [field]: sent })),
    await admin.put(`/api/patients/${before.id}`, patient({ [field]: sent })),
    await admin.patch(`/api/patients/${before.id}`, { [field]: sent }),
  ]
  for (const refused of refusals) {
    expect(refused.status).toBe(400)
    expect(new Set(refused.faults)).toEqual(new Set([path]))
  }
  expect((await admin.get(`/api/patients/${before.id}`)).body).toEqual(before.body)
})

it.each(['__proto__', 'constructor', 'toString'])('a field called %s is as unknown as any other', async (name) => {
  const body = JSON.stringify(patient()).replace('{', `{${JSON.stringify(name)}:{"name":"x"},`)
  const refused = await admin.post('/api/patients', body, { 'Content-Type': 'application/json' })
  expect([refused.status, refused.faults]).toEqual([400, [name]])
})

describe('Changing a patient', () => {
  it('a PUT clears each optional field that is absent', async () => {
    const before = await admin.post('/api/patients', full)
    const after = await admin.put(`/api/patients/${before.id}`, patient({ name: 'New Name' }))
    expect(after.status).toBe(200)
    expect(after.body).toMatchObject({ ...patient(), ...bare, name: 'New Name' })
    expect(after.body).toMatchObject({ createdBy: before.at('createdBy'), createdAt: before.at('createdAt') })
    expect(after.string('updatedAt') >= before.string('updatedAt')).toBe(true)
    expect((await admin.get(`/api/patients/${before.id}`)).body).toEqual(after.body)
  })

  it('a PUT needs every required field', async () => {
    const refused = await admin.put(`/api/patients/${await added()}`, { name: 'New Name' })
    expect([refused.status, ...refused.faults.toSorted()]).toEqual([400, 'dateOfBirth', 'gender'])
  })

  it.each(Object.entries(optionalFields))('a PATCH with null clears %s alone', async (field) => {
    const id = await added(optionalFields)
    const after = await admin.patch(`/api/patients/${id}`, { [field]: null })
    expect(after.status).toBe(200)
    expect(after.body).toMatchObject({ ...full, [field]: field === 'allergies' ? [] : null })
  })

  it.each([{ name: 'New Name' }, { allergies: [] }, {}])('a PATCH with %j leaves all else', async (changes) => {
    const before = await admin.post('/api/patients', full)
    const after = await admin.patch(`/api/patients/${before.id}`, changes)
    expect(after.status).toBe(200)
    expect(steady(after)).toEqual({ ...steady(before), ...changes })
  })

  it.each([absent, '1', `${absent}x`])('the id %s, which no patient has, is a 404', async (id) => {
    expect((await admin.put(`/api/patients/${id}`, patient())).status).toBe(404)
    expect((await admin.patch(`/api/patients/${id}`, {})).status).toBe(404)
    expect((await admin.delete(`/api/patients/${id}`)).status).toBe(404)
  })

  it('a patient who is not there is a 404, whatever the body is', async () => {
    for (const body of [{ nickname: 'Patty' }, { userId: absent }, 'no JSON'])
      expect((await admin.patch(`/api/patients/${absent}`, body)).status).toBe(404)
  })
})

describe('The userId of a patient', () => {
  it('a patient’s userId gives the account of role patient access, until it is cleared', async () => {
    const account = await api.register('Lia Linked')
    const id = await added({ userId: account.id })
    expect((await account.get(`/api/patients/${id}`)).at('userId')).toBe(account.id)
    expect((await admin.patch(`/api/patients/${id}`, { userId: null })).at('userId')).toBeNull()
    expect((await account.get(`/api/patients/${id}`)).status).toBe(404)
  })

  it.each([
    ['an administrator', admin.id],
    ['a doctor', medic.id],
    ['nobody', absent],
  ])('a patient’s userId must not be the account of %s', async (_, userId) => {
    const id = await added()
    const refusals = [
      await admin.post('/api/patients', patient({ userId })),
      await admin.put(`/api/patients/${id}`, patient({ userId })),
      await admin.patch(`/api/patients/${id}`, { userId }),
    ]
    expect(refusals.map(({ status, faults }) => [status, faults])).toEqual(Array(3).fill([400, ['userId']]))
  })

  it('a patient’s userId is not for others than administrators to send, not even null', async () => {
    for (const person of [pia, medic])
      for (const userId of [person.id, absent, null]) {
        const { id } = await person.post('/api/patients', patient())
        const answers = [
          await person.post('/api/patients', patient({ userId })),
          await person.put(`/api/patients/${id}`, patient({ userId })),
          await person.patch(`/api/patients/${id}`, { userId }),
        ]
        expect(answers.map(({ status }) => status)).toEqual([403, 403, 403])
      }
  })

  it('a userId that is sent for a patient who is not seen is a 404', async () => {
    const id = await added()
    expect((await pia.patch(`/api/patients/${id}`, { userId: pia.id })).status).toBe(404)
    expect((await pia.put(`/api/patients/${id}`, patient({ userId: pia.id }))).status).toBe(404)
  })

  it('a patient’s userId stays through a non-admin’s PUT and is cleared by an admin’s', async () => {
    const account = await api.register('Kim Kept')
    const id = await added({ userId: account.id })
    expect((await account.put(`/api/patients/${id}`, patient({ name: 'Me' }))).body).toMatchObject({
      name: 'Me',
      userId: account.id,
    })
    expect((await admin.put(`/api/patients/${id}`, patient())).at('userId')).toBeNull()
  })

  it('an account is linked to one live patient at most', async () => {
    const userId = (await api.register('Una Unique')).id
    const [first, second] = [await added({ userId }), await added()]
    expect((await admin.post('/api/patients', patient({ userId }))).status).toBe(409)
    expect((await admin.patch(`/api/patients/${second}`, { userId })).status).toBe(409)
    expect((await admin.patch(`/api/patients/${first}`, { userId })).status).toBe(200)

    await admin.delete(`/api/patients/${first}`)
    expect((await admin.patch(`/api/patients/${second}`, { userId })).status).toBe(200)
    expect((await admin.post(`/api/patients/${first}/restore`)).status).toBe(409)
    await admin.patch(`/api/patients/${second}`, { userId: null })
    expect((await admin.post(`/api/patients/${first}/restore`)).body).toMatchObject({ id: first, userId })
  })
})

describe('The field self', () => {
  it('the field self links a patient to the one who adds it, once', async () => {
    const me = await api.register('Selma Self')
    const created = await me.post('/api/patients', patient({ self: true }))
    expect([created.status, created.at('userId'), created.at('createdBy')]).toEqual([201, me.id, me.id])
    expect(created.body).not.toHaveProperty('self')
    expect((await me.post('/api/patients', patient({ self: true }))).status).toBe(409)
    expect((await me.post('/api/patients', patient({ self: false }))).at('userId')).toBeNull()
  })

  it('the field self is for accounts of role patient', async () => {
    for (const person of [admin, medic]) {
      const refused = await person.post('/api/patients', patient({ self: true }))
      expect([refused.status, refused.faults]).toEqual([400, ['self']])
    }
  })

  it('the field self is refused except at creation', async () => {
    const { id } = await pia.post('/api/patients', patient())
    for (const refused of [
      await pia.put(`/api/patients/${id}`, patient({ self: true })),
      await pia.patch(`/api/patients/${id}`, { self: true }),
    ])
      expect([refused.status, refused.faults]).toEqual([400, ['self']])
  })
})

describe('A deleted patient', () => {
  /** A patient who has an account, a doctor and all there is to a patient; and what `account` sees of them, path by path. */
  async function patientWithAll() {
    const account = await api.register('Dee Deleted')
    const { id } = await admin.post('/api/patients', { ...full, name: `Dee ${account.id}`, userId: account.id })
    const doctorId = (await admin.post('/api/doctors', doctor())).id
    const mapping = (await admin.post('/api/mappings', { patientId: id, doctorId })).id
    const items = [
      `/api/patients/${id}`,
      `/api/patients/${id}/doctors`,
      `/api/mappings/${id}`,
      `/api/mappings/${mapping}`,
    ]
    const lists = [
      `/api/patients?q=${account.id}`,
      `/api/patients?doctorId=${doctorId}`,
      `/api/doctors/${doctorId}/patients`,
      `/api/mappings?patientId=${id}`,
      `/api/mappings?doctorId=${doctorId}`,
    ]
    return { account, id, doctorId, items, lists }
  }

  it('a deleted patient is hidden everywhere, and from everyone', async () => {
    const { account, id, doctorId, items, lists } = await patientWithAll()
    const deleted = await admin.delete(`/api/patients/${id}`)
    expect([deleted.status, deleted.text]).toEqual([204, ''])
    for (const person of [admin, account]) {
      for (const path of items) expect([path, (await person.get(path)).status]).toEqual([path, 404])
      for (const path of lists) {
        const list = await person.get(`${path}${path.includes('?') ? '&' : '?'}count=true`)
        expect([path, list.at('results'), list.at('count')]).toEqual([path, [], 0])
      }
      expect((await person.put(`/api/patients/${id}`, patient())).status).toBe(404)
      expect((await person.patch(`/api/patients/${id}`, { name: 'x' })).status).toBe(404)
    }
    expect((await admin.delete(`/api/patients/${id}`)).status).toBe(404)
    const mapped = await admin.post('/api/mappings', { patientId: id, doctorId })
    expect([mapped.status, mapped.faults]).toEqual([400, ['patientId']])
  })

  it('a restored patient is complete', async () => {
    const { account, id, items, lists } = await patientWithAll()
    const seen = async () => Promise.all([...items, ...lists].map(async (path) => steady(await account.get(path))))
    const before = await seen()
    await admin.delete(`/api/patients/${id}`)
    const restored = await admin.post(`/api/patients/${id}/restore`)
    expect(restored.status).toBe(200)
    expect(steady(restored)).toEqual(steady(await account.get(`/api/patients/${id}`)))
    expect(await seen()).toEqual(before)
  })

  it('deleted patients are listed with deleted=true, to administrators', async () => {
    const tag = crypto.randomUUID()
    const [gone] = [await added({ name: `Gone ${tag}` }), await added({ name: `Live ${tag}` })]
    await admin.delete(`/api/patients/${gone}`)
    expect((await admin.get(`/api/patients?q=${tag}&deleted=true`)).each('id')).toEqual([gone])
    expect((await admin.get(`/api/patients?q=${tag}&deleted=false`)).each('name')).toEqual([`Live ${tag}`])
    for (const person of [pia, medic]) expect((await person.get('/api/patients?deleted=true')).status).toBe(403)
    expect((await pia.get('/api/patients?deleted=false')).status).toBe(200)
  })

  it('a patient is restored once: 409 where it is live, 404 where there is none', async () => {
    const id = await added()
    expect((await admin.post(`/api/patients/${id}/restore`)).status).toBe(409)
    await admin.delete(`/api/patients/${id}`)
    expect((await admin.post(`/api/patients/${id}/restore`)).status).toBe(200)
    expect((await admin.post(`/api/patients/${id}/restore`)).status).toBe(409)
    expect((await admin.post(`/api/patients/${absent}/restore`)).status).toBe(404)
  })

  it('a patient is deleted by whoever added it, not by whoever it is', async () => {
    const id = await added({ userId: other.id })
    expect((await other.delete(`/api/patients/${id}`)).status).toBe(403)
    const own = (await pia.post('/api/patients', patient())).id
    expect((await other.delete(`/api/patients/${own}`)).status).toBe(404)
    expect((await pia.delete(`/api/patients/${own}`)).status).toBe(204)
    expect((await pia.post(`/api/patients/${own}/restore`)).status).toBe(403)
  })
})

describe('Filters of patients', () => {
  it('a filter by gender leaves the patients of that gender', async () => {
    const tag = crypto.randomUUID()
    const [male] = [await added({ name: tag, gender: 'male' }), await added({ name: tag, gender: 'other' })]
    expect((await admin.get(`/api/patients?q=${tag}&gender=male`)).each('id')).toEqual([male])
  })

  it('a filter by doctor leaves the patients of that doctor', async () => {
    const [patientId, doctorId] = [await added(), (await admin.post('/api/doctors', doctor())).id]
    await added()
    await admin.post('/api/mappings', { patientId, doctorId })
    expect((await admin.get(`/api/patients?doctorId=${doctorId}`)).each('id')).toEqual([patientId])
    expect((await pia.get(`/api/patients?doctorId=${doctorId}`)).each('id')).toEqual([])
    expect((await admin.get(`/api/patients?doctorId=${absent}`)).each('id')).toEqual([])
  })
})
