import { sql } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { type Answer, doctor, Person, password, patient, world } from './support/api.ts'

const { api, admin } = await world()

type Row = Record<string, unknown>
let requests = 0

/** The rows of the trail that one request leaves, without what differs from run to run. */
async function left(
  method: string,
  path: string,
  { by, body }: { by?: Person; body?: unknown } = {},
): Promise<{ answer: Answer; rows: Row[] }> {
  requests += 1
  const id = `audit-test-${requests}`
  const answer = await api.send(method, path, body, {
    token: by?.access,
    headers: { 'X-Request-Id': id, 'User-Agent': 'Test/1' },
  })
  await api.env.auditWriter.flush()
  const rows = await api.db.execute<{ row: string }>(
    sql`select to_jsonb(a) - '{id,at}'::text[] as row from audit a where request_id = ${id}`,
  )
  return { answer, rows: rows.map(({ row }): Row => JSON.parse(row)) }
}

const asDoctor = async (name: string) => {
  const person = await api.register(name)
  await admin.patch(`/api/users/${person.id}`, { role: 'doctor' })
  const profile = await admin.post('/api/doctors', doctor({ userId: person.id }))
  return { person, profile }
}

describe('The audit log', () => {
  it('each change of a patient leaves one entry, with what was and what is', async () => {
    const created = await left('POST', '/api/patients', { by: admin, body: patient({ phone: '+4930123456' }) })
    const id = created.answer.id
    const common = {
      user_id: admin.id,
      role: 'admin',
      resource: 'patient',
      resource_id: id,
      patient_id: id,
      patient_ids: null,
      ip: '192.0.2.1',
      user_agent: 'Test/1',
    }
    expect(created.rows).toEqual([
      {
        ...common,
        request_id: expect.any(String),
        action: 'patient.create',
        status: 201,
        changes: {
          name: { before: null, after: 'Pat Patient' },
          dateOfBirth: { before: null, after: '1980-02-29' },
          gender: { before: null, after: 'female' },
          phone: { before: null, after: '+4930123456' },
          allergies: { before: null, after: [] },
        },
      },
    ])
    const patched = await left('PATCH', `/api/patients/${id}`, {
      by: admin,
      body: { phone: null, name: 'Pat Changed' },
    })
    expect(patched.rows).toMatchObject([
      {
        ...common,
        action: 'patient.update',
        status: 200,
        changes: {
          phone: { before: '+4930123456', after: null },
          name: { before: 'Pat Patient', after: 'Pat Changed' },
        },
      },
    ])
    const deleted = await left('DELETE', `/api/patients/${id}`, { by: admin })
    expect(deleted.rows).toMatchObject([
      {
        ...common,
        action: 'patient.delete',
        status: 204,
        changes: { deletedAt: { before: null, after: expect.any(String) } },
      },
    ])
    const restored = await left('POST', `/api/patients/${id}/restore`, { by: admin })
    expect(restored.rows).toMatchObject([
      {
        ...common,
        action: 'patient.restore',
        status: 200,
        changes: { deletedAt: { before: expect.any(String), after: null } },
      },
    ])
  })

  it('each look at a patient leaves one entry, and that of a list names all whom it showed', async () => {
    const person = await api.register('Owner')
    const [one, two] = [await person.post('/api/patients', patient()), await person.post('/api/patients', patient())]
    const read = await left('GET', `/api/patients/${one.id}`, { by: person })
    expect(read.rows).toMatchObject([
      {
        action: 'patient.read',
        user_id: person.id,
        role: 'patient',
        resource_id: one.id,
        patient_id: one.id,
        status: 200,
        changes: null,
      },
    ])
    const head = await left('HEAD', `/api/patients/${one.id}`, { by: person })
    expect(head.rows).toMatchObject([{ action: 'patient.read', patient_id: one.id }])
    const list = await left('GET', '/api/patients', { by: person })
    expect(list.rows).toMatchObject([{ action: 'patient.list', resource_id: null, patient_ids: [two.id, one.id] }])
  })

  it('every refusal leaves an entry', async () => {
    const person = await api.register('Curious')
    const hidden = await admin.post('/api/patients', patient())
    const unseen = await left('GET', `/api/patients/${hidden.id}`, { by: person })
    expect(unseen.rows).toMatchObject([
      {
        action: 'auth.denied',
        user_id: person.id,
        resource: 'patient',
        resource_id: hidden.id,
        status: 404,
        patient_id: hidden.id,
      },
    ])
    const forbidden = await left('GET', '/api/users', { by: person })
    expect(forbidden.rows).toMatchObject([{ action: 'auth.denied', resource: 'user', status: 403 }])
    const noId = await left('DELETE', '/api/patients/nonsense', { by: person })
    expect(noId.rows).toMatchObject([{ action: 'auth.denied', resource_id: null, status: 404 }])
  })

  it('changes of doctors and mappings leave entries', async () => {
    const { person, profile } = await asDoctor('Doc')
    expect(
      (await left('PATCH', `/api/doctors/${profile.id}`, { by: person, body: { experienceYears: 7 } })).rows,
    ).toMatchObject([
      {
        action: 'doctor.update',
        role: 'doctor',
        resource_id: profile.id,
        patient_id: null,
        changes: { experienceYears: { before: null, after: 7 } },
      },
    ])
    const who = await admin.post('/api/patients', patient())
    const mapped = await left('POST', '/api/mappings', { by: admin, body: { patientId: who.id, doctorId: profile.id } })
    const mapping = { resource: 'mapping', resource_id: mapped.answer.id, patient_id: who.id }
    expect(mapped.rows).toMatchObject([
      { ...mapping, action: 'mapping.create', changes: { doctorId: { before: null, after: profile.id } } },
    ])
    expect((await left('GET', `/api/mappings/${mapped.answer.id}`, { by: admin })).rows).toMatchObject([
      { action: 'mapping.read', patient_id: who.id },
    ])
    expect((await left('GET', `/api/doctors/${profile.id}/patients`, { by: person })).rows).toMatchObject([
      { action: 'mapping.list', patient_ids: [who.id] },
    ])
    expect((await left('DELETE', `/api/mappings/${mapped.answer.id}`, { by: admin })).rows).toMatchObject([
      { ...mapping, action: 'mapping.delete', changes: { doctorId: { before: profile.id, after: null } } },
    ])
  })

  it('signing in and out and changes of accounts leave entries, and no secret is in them', async () => {
    const email = 'trail@example.org'
    const registered = await left('POST', '/api/auth/register', { body: { name: 'Trail', email, password } })
    const userId = registered.answer.string('user.id')
    expect(registered.rows).toMatchObject([
      { action: 'auth.register', user_id: userId, role: 'patient', changes: null },
    ])
    const wrong = await left('POST', '/api/auth/login', { body: { email, password: 'wrong password' } })
    expect(wrong.rows).toMatchObject([{ action: 'auth.login_failed', user_id: userId, status: 401, changes: null }])
    const unknown = await left('POST', '/api/auth/login', { body: { email: 'nobody@example.org', password } })
    expect(unknown.rows).toMatchObject([{ action: 'auth.login_failed', user_id: null }])
    const login = await left('POST', '/api/auth/login', { body: { email, password } })
    expect(login.rows).toMatchObject([{ action: 'auth.login', user_id: userId, status: 200 }])
    const refresh = await left('POST', '/api/auth/refresh', { body: { refresh: login.answer.string('refresh') } })
    expect(refresh.rows).toMatchObject([{ action: 'auth.refresh', user_id: userId, role: 'patient' }])
    const created = await left('POST', '/api/users', {
      by: admin,
      body: { name: 'U', email: 'u@example.org', password, role: 'doctor' },
    })
    expect(created.rows).toMatchObject([
      {
        action: 'user.create',
        user_id: admin.id,
        resource_id: created.answer.id,
        changes: { name: { before: null, after: 'U' }, role: { before: null, after: 'doctor' } },
      },
    ])
    const logout = await left('POST', '/api/auth/logout', { body: { refresh: refresh.answer.string('refresh') } })
    const [session] = await api.db.execute(
      sql`select id from sessions where user_id = ${userId} and revoked_at is not null`,
    )
    expect(logout.rows).toMatchObject([
      { action: 'auth.logout', user_id: userId, status: 204, resource_id: session?.id },
    ])
    const again = await api.send('POST', '/api/auth/login', { email, password })
    const person = new Person(api, userId, email, again.string('access'), again.string('refresh'))
    const newPassword = 'another long password'
    const changed = await left('POST', '/api/auth/password', {
      by: person,
      body: { currentPassword: password, newPassword },
    })
    expect(changed.rows).toMatchObject([
      { action: 'auth.password_changed', user_id: userId, resource_id: userId, status: 204 },
    ])
    const logoutAll = await left('POST', '/api/auth/logout-all', { by: person })
    expect(logoutAll.rows).toMatchObject([{ action: 'auth.logout', user_id: userId, resource_id: null }])
    const all = JSON.stringify((await api.db.execute(sql`select * from audit`)).map((row) => row))
    for (const secret of [
      password,
      'wrong password',
      '$argon2',
      registered.answer.string('access'),
      registered.answer.string('refresh'),
    ])
      expect(all).not.toContain(secret)
  })

  it('a request that changed and showed nothing leaves no entry', async () => {
    const paths: [string, string, unknown?][] = [
      ['GET', '/healthz'],
      ['GET', '/api/patients'],
      ['POST', '/api/patients', { name: '' }],
      ['POST', '/api/auth/login', {}],
    ]
    for (const [method, path, body] of paths) expect((await left(method, path, { body })).rows).toEqual([])
    expect((await left('POST', '/api/patients', { by: admin, body: {} })).rows).toEqual([])
  })
})

describe('A change', () => {
  it('a change does not happen where its entry cannot be written', async () => {
    const who = await admin.post('/api/patients', patient())
    const path = `/api/patients/${who.id}`
    await api.db.execute(sql`alter table audit add constraint broken check (action <> 'patient.update') not valid`)
    expect((await admin.patch(path, { name: 'Nobody' })).status).toBe(500)
    await api.db.execute(sql`alter table audit drop constraint broken`)
    expect((await admin.get(path)).at('name')).toBe('Pat Patient')
  })
})

it.each(['update audit set status = 200', 'delete from audit', 'truncate audit'])(
  'PostgreSQL refuses to change the audit log: %s',
  async (statement) => {
    await expect(api.db.execute(sql.raw(statement))).rejects.toMatchObject({ cause: { code: '42501' } })
  },
)

describe('Reading the audit log', () => {
  it('an administrator reads the audit log by patient, user, action, request and time', async () => {
    const person = await api.register('Read')
    const who = await person.post('/api/patients', patient())
    await person.get('/api/patients')
    await api.env.auditWriter.flush()
    const all = await admin.get(`/api/audit?patientId=${who.id}`)
    expect(all.each('action')).toEqual(['patient.list', 'patient.create'])
    expect(Object.keys(Object(all.list()[0])).sort()).toEqual(
      [
        'action',
        'at',
        'changes',
        'id',
        'ip',
        'patientId',
        'patientIds',
        'requestId',
        'resource',
        'resourceId',
        'role',
        'status',
        'userAgent',
        'userId',
      ].sort(),
    )
    expect((await admin.get(`/api/audit?userId=${person.id}&action=patient.create`)).each('patientId')).toEqual([
      who.id,
    ])
    const at = encodeURIComponent(all.string('results.1.at'))
    expect((await admin.get(`/api/audit?patientId=${who.id}&to=${at}`)).list()).toEqual([])
    expect((await admin.get(`/api/audit?patientId=${who.id}&from=${at}&limit=1&count=true`)).at('count')).toBe(2)
    expect((await admin.get(`/api/audit?patientId=${who.id}&from=2100-01-01T00:00:00Z`)).list()).toHaveLength(0)
    for (const id of [all.list()[0], all.list()[1]].map((entry) => String(Object(entry).requestId)))
      expect((await admin.get(`/api/audit?requestId=${id}`)).each('requestId')).toEqual([id])
    const { rows } = await left('GET', `/api/patients/${who.id}`, { by: person })
    const chosen = String(rows[0]?.request_id)
    expect((await admin.get(`/api/audit?requestId=${chosen}&count=true`)).at('count')).toBe(1)
    expect((await admin.get(`/api/audit?requestId=${crypto.randomUUID()}`)).list()).toEqual([])
    expect((await admin.get('/api/audit?requestId=a%20b')).faults).toEqual(['requestId'])
    expect((await person.get('/api/audit')).status).toBe(403)
    expect((await admin.get('/api/audit?from=yesterday&action=x')).faults).toEqual(['action', 'from'])
  })

  it('the audit log of a patient is shown to whoever added them and to the patient, and to no doctor or stranger', async () => {
    const [owner, self, stranger] = [
      await api.register('Adder'),
      await api.register('Self'),
      await api.register('Stranger'),
    ]
    const { person, profile } = await asDoctor('Treating')
    const who = await owner.post('/api/patients', patient())
    await admin.patch(`/api/patients/${who.id}`, { userId: self.id })
    await admin.post('/api/mappings', { patientId: who.id, doctorId: profile.id })
    await person.get(`/api/patients/${who.id}`)
    await api.env.auditWriter.flush()
    const path = `/api/patients/${who.id}/audit`
    for (const reader of [admin, owner, self]) expect((await reader.get(path)).each('action')).toContain('patient.read')
    expect((await person.get(path)).status).toBe(403)
    expect((await stranger.get(path)).status).toBe(404)
    expect((await stranger.get(`${path}?nonsense=1`)).status).toBe(404)
  })
})

it('personal data and SQL stand neither in the log nor in the answer to a fault', async () => {
  const planted = { name: 'Xanthippe Plantagenet', phone: '+4915112345678', medicalHistory: 'planted history' }
  const who = await admin.post('/api/patients', patient(planted))
  await admin.get(`/api/patients?q=${encodeURIComponent(planted.name)}`)
  await admin.post('/api/patients', patient({ ...planted, gender: planted.name }))
  await admin.get(`/api/patients/${who.id}?q=${planted.name}`)
  await api.db.execute(
    sql`alter table patients add constraint broken check (medical_history <> 'planted history') not valid`,
  )
  const broken = await admin.post('/api/patients', patient(planted))
  await api.db.execute(sql`alter table patients drop constraint broken`)
  expect([broken.status, broken.at('instance')]).toEqual([500, broken.headers.get('X-Request-Id')])
  const log = api.logged.join('\n')
  expect(log).toContain(broken.string('instance'))
  for (const value of [
    ...Object.values(planted),
    encodeURIComponent(planted.name),
    password,
    admin.access,
    admin.refresh,
    admin.email,
    'insert into',
    'select ',
  ]) {
    expect(log).not.toContain(value)
    expect(broken.text).not.toContain(value)
  }
})
