import { sql } from 'drizzle-orm'
import fc from 'fast-check'
import ICAL from 'ical.js'
import { describe, expect, it } from 'vitest'
import { type Answer, doctor, type Person, password, patient, world } from './support/api.ts'
import { expectProblem, expectWellFormed } from './wellformed.ts'

const { api, admin } = await world()

const hour = 3_600_000
const soon = new Date(Math.ceil(Date.now() / hour) * hour + 48 * hour)
/** A moment so many hours from a full hour in two days' time. */
const at = (hours: number) => new Date(soon.getTime() + hours * hour).toISOString()
const made = async (path: string, body: unknown, by = admin) => {
  const answer = await by.post(path, body)
  expect(answer.status, answer.text).toBe(201)
  return answer.id
}
const asDoctor = async (more = {}): Promise<{ person: Person; id: string }> => {
  const person = await api.register('Doc')
  await admin.patch(`/api/users/${person.id}`, { role: 'doctor' })
  return { person, id: await made('/api/doctors', doctor({ userId: person.id, ...more })) }
}
const book = (patientId: string, doctorId: string, from = 0, more = {}) =>
  made('/api/appointments', { patientId, doctorId, startsAt: at(from), endsAt: at(from + 1), ...more })

type Side = 'doctor' | 'patient'
const subscribe = async (side: Side, id: string, by: Person) => {
  const answer = await by.post(`/api/${side}s/${id}/calendar-feed`)
  expect(answer.status, answer.text).toBe(201)
  return answer.string('url')
}
/** As a phone fetches it. */
const fetched = (url: string, headers = {}) => api.send('GET', url, undefined, { headers })

// Text, as every X- property (RFC 5545, section 3.8.8.2); the parser alone would take it as it stands.
Object.assign(ICAL.design.icalendar.property, { 'x-wr-calname': ICAL.design.icalendar.property.summary })

/** The feed as an independent parser reads it. */
async function feed(url: string) {
  const answer = await fetched(url, { Accept: 'text/calendar' })
  expect(answer.status, answer.text).toBe(200)
  expect(answer.headers.get('Content-Type')).toBe('text/calendar; charset=utf-8')
  return read(answer)
}
function read({ text }: Answer) {
  const lines = text.split('\r\n')
  expect(lines.join('')).not.toMatch(/[\r\n]/)
  expect(Math.max(...lines.map((line) => Buffer.byteLength(line)))).toBeLessThanOrEqual(75)
  // A calendar's own properties come before what is in it (RFC 5545, section 3.6).
  const [first] = lines.flatMap((line, i) => (line === 'BEGIN:VEVENT' ? [i] : []))
  expect(lines.findIndex((line) => line.startsWith('X-WR-CALNAME:'))).toBeLessThan(first ?? lines.length)
  const calendar = ICAL.Component.fromString(text)
  const value = (component: ICAL.Component, name: string) => component.getFirstPropertyValue(name)?.toString()
  const events = calendar.getAllSubcomponents('vevent').map((event) => ({
    uid: value(event, 'uid'),
    start: value(event, 'dtstart'),
    end: value(event, 'dtend'),
    status: value(event, 'status'),
    transparency: value(event, 'transp'),
    sequence: value(event, 'sequence'),
    stamp: value(event, 'dtstamp'),
    modified: value(event, 'last-modified'),
    summary: value(event, 'summary'),
    description: value(event, 'description'),
  }))
  return { name: value(calendar, 'x-wr-calname'), refresh: value(calendar, 'refresh-interval'), events }
}
const seconds = (moment: string) => moment.replace(/\.\d+/, '')

/** A doctor with a feed of their own and a patient with one appointment. */
async function scene() {
  const { person, id } = await asDoctor()
  const patientId = await made('/api/patients', patient({ name: 'Very Secret' }))
  const booked = await book(patientId, id, 0, { reason: 'itching' })
  await person.patch(`/api/appointments/${booked}`, { notes: 'annotated' })
  return { person, id, patientId, booked, url: await subscribe('doctor', id, person) }
}

describe('A doctor’s feed', () => {
  it('a doctor’s feed shows when the appointments are, and neither with whom nor why', async () => {
    const { booked, url } = await scene()
    const { name, refresh, events } = await feed(url)
    expect([name, refresh]).toEqual(['Appointments of Dora Doctor', 'PT1H'])
    expect(events).toEqual([
      {
        uid: `${booked}@hospital-api`,
        start: seconds(at(0)),
        end: seconds(at(1)),
        status: 'CONFIRMED',
        transparency: 'OPAQUE',
        sequence: '1',
        stamp: expect.any(String),
        modified: expect.any(String),
        summary: 'Appointment',
        description: undefined,
      },
    ])
    const { text } = await fetched(url)
    for (const secret of ['Secret', 'itching', 'annotated']) expect(text).not.toContain(secret)
  })

  it('a doctor’s feed shows patients and reasons with detail=full, and never the notes', async () => {
    const { url } = await scene()
    const { name, events } = await feed(`${url}&detail=full`)
    expect(name).toBe('Appointments of Dora Doctor')
    expect(events).toMatchObject([{ summary: 'Very Secret', description: 'itching' }])
    expect((await fetched(`${url}&detail=full`)).text).not.toContain('annotated')
  })

  it('a doctor’s feed is read without signing in, with any Accept header, also with HEAD, and is not cached', async () => {
    const { url } = await scene()
    for (const Accept of ['text/calendar', 'text/html', 'image/png', '*/*', 'application/json;q=0']) {
      const answer = await fetched(url, { Accept })
      expect(answer.status).toBe(200)
      expect(answer.headers.get('Cache-Control')).toBe('no-store')
      expectWellFormed(answer)
    }
    expect((await api.send('HEAD', url)).headers.get('Content-Type')).toBe('text/calendar; charset=utf-8')
    expect((await fetched(url.replace('.ics', '.ics/'))).status).toBe(200)
    expect((await fetched(url.replace(/[0-9a-f-]{36}/, (id) => id.toUpperCase()))).status).toBe(200)
  })

  it('a doctor’s feed is empty where there is nothing to show', async () => {
    const { person, id } = await asDoctor()
    expect((await feed(await subscribe('doctor', id, person))).events).toEqual([])
  })

  it('a doctor’s feed has the doctor’s own appointments, and none of a deleted patient', async () => {
    const { patientId, booked, url } = await scene()
    await book(patientId, (await asDoctor()).id, 5)
    expect((await feed(url)).events).toMatchObject([{ uid: `${booked}@hospital-api` }])
    for (const { id } of await api.db.execute<{ id: string }>(
      sql`select id from appointments where patient_id = ${patientId}`,
    ))
      await admin.patch(`/api/appointments/${id}`, { status: 'cancelled' })
    expect((await admin.delete(`/api/patients/${patientId}`)).status).toBe(204)
    expect((await feed(url)).events).toEqual([])
  })

  it('a doctor’s feed reaches from 30 days ago to a year ahead', async () => {
    const { id, patientId, url } = await scene()
    const day = 24
    const now = (Date.now() - soon.getTime()) / hour
    const shown = [await book(patientId, id, 10), await book(patientId, id, now + 363 * day)]
    const hidden = [await book(patientId, id, 12), await book(patientId, id, now + 368 * day)]
    const longAgo = (appointment: string | undefined, days: number) =>
      api.db.execute(sql`update appointments set starts_at = now() - make_interval(days => ${days}),
        ends_at = now() - make_interval(days => ${days}) + interval '1 hour' where id = ${appointment}`)
    await longAgo(shown[0], 29)
    await longAgo(hidden[0], 31)
    const uids = (await feed(url)).events.map(({ uid }) => uid?.split('@')[0])
    expect(uids).toEqual([shown[0], expect.any(String), shown[1]])
  })
})

describe('A patient’s feed', () => {
  it('a patient’s feed names the doctor, and the patient and the reason only with detail=full', async () => {
    const { id, patientId } = await scene()
    const treating = await asDoctor()
    await admin.post('/api/mappings', { patientId, doctorId: treating.id })
    await book(patientId, treating.id, 5)
    const url = await subscribe('patient', patientId, treating.person)
    const brief = await feed(url)
    expect(brief.name).toBe('Appointments')
    expect(brief.events).toHaveLength(2)
    for (const event of brief.events)
      expect(event).toMatchObject({ summary: 'Dora Doctor, Cardiology', description: undefined })
    expect((await fetched(url)).text).not.toContain('Secret')
    const full = await feed(`${url}&detail=full`)
    expect(full.name).toBe('Appointments of Very Secret')
    expect(full.events.map(({ description }) => description)).toEqual(['itching', undefined])
    expect((await fetched(`${url}&detail=full`)).text).not.toContain('annotated')
    expect(id).not.toBe(treating.id)
  })
})

describe('Events that change', () => {
  it('an event keeps its UID when it changes, and says that it changed', async () => {
    const { person, booked, url } = await scene()
    const [before] = (await feed(url)).events
    await person.patch(`/api/appointments/${booked}`, { startsAt: at(3), endsAt: at(4) })
    const [moved] = (await feed(url)).events
    expect(moved).toMatchObject({ uid: before?.uid, start: seconds(at(3)), end: seconds(at(4)), sequence: '2' })
    await api.db.execute(
      sql`update appointments set updated_at = updated_at + interval '1 minute' where id = ${booked}`,
    )
    const [later] = (await feed(url)).events
    expect(later?.modified).not.toBe(moved?.modified)
    expect(later?.stamp).toBe(later?.modified)
  })

  it('a cancelled appointment stays in the feed as cancelled, so that phones remove it', async () => {
    const { person, booked, url } = await scene()
    await person.patch(`/api/appointments/${booked}`, { status: 'cancelled' })
    expect((await feed(url)).events).toMatchObject([
      { uid: `${booked}@hospital-api`, status: 'CANCELLED', transparency: 'TRANSPARENT', sequence: '2' },
    ])
  })

  it.each(['completed', 'no_show'])('an appointment stays in the feed once it is %s', async (status) => {
    const { booked, url } = await scene()
    await api.db.execute(sql`update appointments set starts_at = now() - interval '1 hour', ends_at = now(), status = ${status}
      where id = ${booked}`)
    expect((await feed(url)).events).toMatchObject([{ status: 'CONFIRMED', summary: 'Appointment' }])
  })

  it('an event gets a newer time of change when a name in it changes', async () => {
    const { id, patientId, url } = await scene()
    const mine = await subscribe('patient', patientId, admin)
    const modified = async (url: string) => (await feed(url)).events[0]?.modified
    const before = [await modified(mine), await modified(`${url}&detail=full`), await modified(url)]
    await admin.patch(`/api/doctors/${id}`, { name: 'Dora New' })
    await api.db.execute(sql`update doctors set updated_at = updated_at + interval '1 minute' where id = ${id}`)
    await api.db.execute(
      sql`update patients set updated_at = updated_at + interval '2 minutes' where id = ${patientId}`,
    )
    const after = [await modified(mine), await modified(`${url}&detail=full`), await modified(url)]
    expect(after.map((time, i) => time === before[i])).toEqual([false, false, true])
    expect((await feed(mine)).events).toMatchObject([{ summary: 'Dora New, Cardiology' }])
  })
})

describe('Text in feeds', () => {
  it('any text is read back from the feed as it was written', async () => {
    const { id, patientId, booked, url } = await scene()
    const mine = await subscribe('patient', patientId, admin)
    const piece = fc.oneof(
      fc.constantFrom(
        ',',
        ';',
        '\\',
        '\\n',
        '\n',
        '\t',
        ':',
        '"',
        '^',
        '😀',
        '👩‍⚕️',
        'é',
        '\u2028',
        'BEGIN:VEVENT',
        '\nEND:VCALENDAR\n',
      ),
      fc.string({ unit: 'grapheme', maxLength: 20 }),
    )
    const text = fc
      .array(piece, { maxLength: 30 })
      .map((pieces) => `a${pieces.join('')}`.normalize('NFC'))
      .map((all) => `${[...all].slice(0, 199).join('').trim()}z`)
    const long = ['x', 'é', '😀', '\u{10ffff}', ',', '\n'].map((character) => `a${character.repeat(198)}z`)
    const examples = [...long, 'Dr. O’Neill, M.D.; "Zoë" \\ \n', 'a\\', 'a\r\nb'].map((name): [string] => [name])
    await fc.assert(
      fc.asyncProperty(text, async (name) => {
        const [renamed] = await Promise.all([
          admin.patch(`/api/patients/${patientId}`, { name }),
          admin.patch(`/api/doctors/${id}`, { name, specialization: name }),
          admin.patch(`/api/appointments/${booked}`, { reason: name }),
        ])
        const kept = renamed.string('name').replace(/\r\n?/g, '\n')
        const full = await feed(`${url}&detail=full`)
        expect(full.events).toMatchObject([{ summary: kept, description: kept }])
        expect(full.name).toBe(`Appointments of ${kept}`)
        expect((await feed(mine)).events).toMatchObject([{ summary: `${kept}, ${kept}` }])
        expect((await feed(`${mine}&detail=full`)).name).toBe(`Appointments of ${kept}`)
      }),
      { numRuns: 60, examples },
    )
  })

  it('control characters that iCalendar cannot express are left out', async () => {
    const { patientId, url } = await scene()
    await admin.patch(`/api/patients/${patientId}`, { name: 'a\u0001b\u001bc\u007fd\u0085e\tf' })
    expect((await feed(`${url}&detail=full`)).events).toMatchObject([{ summary: 'abcde\tf' }])
  })
})

describe('The URL of a feed', () => {
  /** All that an answer tells, but for what is each answer's own. */
  const told = ({ status, headers, text }: Answer) => ({
    status,
    headers: [...headers].filter(([name]) => name !== 'x-request-id'),
    text: text.replace(/"instance":"[^"]+"/, ''),
  })
  const nothing = async () => told(await fetched(`/api/doctors/${crypto.randomUUID()}/calendar.ics`))
  const ended = async (url: string) => {
    for (const query of ['', '&detail=full', '&detail=none', '&page=2', '&token=x', '&x=%ff'])
      expect(told(await fetched(url + query))).toEqual(await nothing())
  }

  it('a feed’s URL opens nothing but its own feed', async () => {
    const [one, two] = [await scene(), await scene()]
    const token = new URL(one.url, 'http://x').searchParams.get('token') ?? ''
    expect(token).toMatch(/^[\w-]{43}$/)
    await ended(one.url.replace(one.id, two.id))
    await ended(one.url.replace('doctors', 'patients'))
    await ended(`/api/patients/${one.patientId}/calendar.ics?token=${token}`)
    for (const wrong of [
      token.slice(0, -1),
      `${token}=`,
      `${token}a`,
      token.toLowerCase(),
      '',
      'a'.repeat(5000),
      '%00',
    ])
      await ended(`/api/doctors/${one.id}/calendar.ics?token=${wrong}`)
    await ended(`/api/doctors/${one.id}/calendar.ics?tokn=${token}`)
    await ended(`/api/doctors/nonsense/calendar.ics?token=${token}`)
    for (const person of [one.person, admin])
      expect((await person.get(`/api/doctors/${one.id}/calendar.ics`)).status).toBe(404)
    const bearer = { Authorization: `Bearer ${token}` }
    expect((await api.send('GET', `/api/doctors/${one.id}`, undefined, { headers: bearer })).status).toBe(401)
  })

  it('a feed’s URL opens no other feed, also where its maker sees everything', async () => {
    const [one, two] = [await scene(), await scene()]
    const ofDoctor = await subscribe('doctor', one.id, admin)
    const ofPatient = await subscribe('patient', one.patientId, admin)
    await ended(ofDoctor.replace(one.id, two.id))
    await ended(ofPatient.replace(one.patientId, two.patientId))
    await ended(ofPatient.replace(`patients/${one.patientId}`, `doctors/${one.id}`))
    expect((await feed(ofDoctor)).events).toHaveLength(1)
  })

  it('a feed’s URL takes no parameter but its own', async () => {
    const { url } = await scene()
    expectProblem(await fetched(`${url}&page=2`), 400, ['page'])
    expectProblem(await fetched(`${url}&detail=none&x=1`), 400, ['detail', 'x'])
    expectProblem(await fetched(`${url}&detail=`), 400, ['detail'])
    expectProblem(await fetched(`${url}&token=x`), 400, ['token'])
    const shouted = url.replace(/[0-9a-f-]{36}/, (id) => id.toUpperCase())
    expectProblem(await fetched(`${shouted}&page=2`), 400, ['page'])
  })

  it('a feed’s URL stops working when it is revoked', async () => {
    const { person, id, url } = await scene()
    expect((await person.delete(`/api/doctors/${id}/calendar-feed`)).status).toBe(204)
    await ended(url)
    expect((await person.get(`/api/doctors/${id}/calendar-feed`)).status).toBe(404)
    expect((await person.delete(`/api/doctors/${id}/calendar-feed`)).status).toBe(404)
  })

  it('a feed’s URL stops working when the feed is made anew, and other URLs keep working', async () => {
    const { person, id, url } = await scene()
    const admins = await subscribe('doctor', id, admin)
    const anew = await subscribe('doctor', id, person)
    await ended(url)
    expect((await feed(anew)).events).toHaveLength(1)
    expect((await feed(admins)).events).toHaveLength(1)
    expect((await admin.delete(`/api/doctors/${id}/calendar-feed`)).status).toBe(204)
    await ended(admins)
    expect((await feed(anew)).events).toHaveLength(1)
  })

  it('a feed’s URL stops working with the account that made it, and does not come back with it', async () => {
    const { person, url } = await scene()
    await admin.patch(`/api/users/${person.id}`, { active: false })
    await ended(url)
    await admin.patch(`/api/users/${person.id}`, { active: true })
    await ended(url)
  })

  it('a feed’s URL is refused while the account that made it is inactive, also where the database was changed directly', async () => {
    const { person, url } = await scene()
    await api.db.execute(sql`update users set active = false where id = ${person.id}`)
    await ended(url)
  })

  it('a feed’s URL stops working with the mapping that lets its doctor see the patient', async () => {
    const { patientId } = await scene()
    const treating = await asDoctor()
    const mapping = await made('/api/mappings', { patientId, doctorId: treating.id })
    const url = await subscribe('patient', patientId, treating.person)
    expect((await feed(url)).events).toHaveLength(1)
    await admin.delete(`/api/mappings/${mapping}`)
    await ended(url)
    expect((await treating.person.get(`/api/patients/${patientId}/calendar-feed`)).status).toBe(404)
    // Who no longer sees the patient can still do away with the URL.
    expect((await treating.person.delete(`/api/patients/${patientId}/calendar-feed`)).status).toBe(204)
    await admin.post('/api/mappings', { patientId, doctorId: treating.id })
    await ended(url)
  })

  it('a feed’s URL is refused once its doctor has another account or is deleted, or its maker has another role', async () => {
    const [unlinked, deleted, demoted] = [await scene(), await asDoctor(), await scene()]
    await admin.patch(`/api/doctors/${unlinked.id}`, { userId: null })
    await ended(unlinked.url)
    const url = await subscribe('doctor', deleted.id, deleted.person)
    await admin.delete(`/api/doctors/${deleted.id}`)
    await ended(url)
    const second = await api.register('Second')
    await admin.patch(`/api/users/${second.id}`, { role: 'admin' })
    const [ofDoctor, ofPatient] = [
      await subscribe('doctor', demoted.id, second),
      await subscribe('patient', demoted.patientId, second),
    ]
    await admin.patch(`/api/users/${second.id}`, { role: 'patient' })
    await ended(ofDoctor)
    await ended(ofPatient)
  })

  it('a feed’s URL is refused while the patient is deleted', async () => {
    const owner = await api.register('Owner')
    const id = await made('/api/patients', patient(), owner)
    const url = await subscribe('patient', id, owner)
    await owner.delete(`/api/patients/${id}`)
    await ended(url)
    await admin.post(`/api/patients/${id}/restore`)
    expect((await feed(url)).events).toEqual([])
  })

  it('a feed’s URL is shown once, and only its hash is kept', async () => {
    const { person, id } = await scene()
    const path = `/api/doctors/${id}/calendar-feed`
    const answer = await person.post(path)
    const token = new URL(answer.string('url'), 'http://x').searchParams.get('token') ?? ''
    expect(answer.body).toEqual({
      id: answer.id,
      createdAt: expect.any(String),
      url: `/api/doctors/${id}/calendar.ics?token=${token}`,
    })
    expect(answer.headers.get('Location')).toBe(path)
    const shown = await person.get(path)
    expect(shown.body).toEqual({ id: answer.id, createdAt: answer.at('createdAt') })
    expect(shown.headers.get('ETag')).toBe(answer.headers.get('ETag'))
    await feed(answer.string('url'))
    await fetched(`${answer.string('url')}&x=1`)
    await api.env.auditWriter.flush()
    const [rows] = await api.db.execute<{ rows: string }>(
      sql`select (select json_agg(f) from feeds f)::text || (select json_agg(a) from audit a)::text as rows`,
    )
    expect(rows?.rows).not.toContain(token)
    expect(api.logged.join('\n')).not.toContain(token)
    expect(api.logged.join('\n')).toContain('/api/doctors/:id/calendar.ics')
  })

  it('a feed is revoked only in the version of If-Match', async () => {
    const { person, id } = await scene()
    const path = `/api/doctors/${id}/calendar-feed`
    const stale = (await person.get(path)).headers.get('ETag') ?? ''
    const url = await subscribe('doctor', id, person)
    expectProblem(await person.delete(path, { 'If-Match': stale }), 412)
    await feed(url)
    const etag = (await person.get(path)).headers.get('ETag') ?? ''
    expect((await person.get(path, { 'If-None-Match': etag })).status).toBe(304)
    expect((await person.delete(path, { 'If-Match': etag })).status).toBe(204)
  })

  it('a feed that nobody has made is a 404, to an administrator too', async () => {
    const { id } = await admin.post('/api/doctors', doctor())
    expect((await admin.get(`/api/doctors/${id}/calendar-feed`)).status).toBe(404)
  })

  it('of a patient ends with a change of the password, and the patient’s trail says so', async () => {
    const person = await api.register('Owner')
    const patientId = (await person.post('/api/patients', patient())).id
    await subscribe('patient', patientId, person)
    await person.post('/api/auth/password', { currentPassword: password, newPassword: `${password}!` })
    const rows = await api.db.execute(sql`select from audit where action = 'feed.delete' and patient_id = ${patientId}`)
    expect(rows).toHaveLength(1)
  })

  it('a feed’s URL outlives the sessions of whoever made it', async () => {
    const { person, url } = await scene()
    await person.post('/api/auth/logout-all')
    expect((await feed(url)).events).toHaveLength(1)
  })

  it.each<[string, (person: Person) => Promise<unknown>]>([
    [
      'they change their password',
      (person) => person.post('/api/auth/password', { currentPassword: password, newPassword: `${password}!` }),
    ],
    [
      'their password is reset',
      async (person) => {
        const token = (await admin.post(`/api/users/${person.id}/reset-token`)).string('token')
        await api.send('POST', '/api/auth/reset', { token, newPassword: `${password}!` })
      },
    ],
    ['they are deactivated', (person) => admin.patch(`/api/users/${person.id}`, { active: false })],
  ])('the URL of a person’s feed stops working when %s, and the audit log says so', async (_, change) => {
    const { person, id, url } = await scene()
    expect((await feed(url)).events).toHaveLength(1)
    await change(person)
    expect((await fetched(url)).status).toBe(404)
    const rows = await api.db.execute(
      sql`select from audit where action = 'feed.delete' and changes -> 'doctorId' ->> 'before' = ${id}`,
    )
    expect(rows).toHaveLength(1)
    // Another's feed of the same doctor goes on.
    const other = await subscribe('doctor', id, admin)
    expect((await fetched(other)).status).toBe(200)
  })
})

describe('Audit entries of feeds', () => {
  const left = async (send: (headers: Record<string, string>) => Promise<Answer>) => {
    const id = crypto.randomUUID()
    await send({ 'X-Request-Id': id })
    await api.env.auditWriter.flush()
    const rows = await api.db.execute<{ row: string }>(
      sql`select to_jsonb(a) as row from audit a where request_id = ${id}`,
    )
    return rows.map(({ row }): unknown => JSON.parse(row))
  }

  it('making and revoking a feed leaves one entry each', async () => {
    const { patientId } = await scene()
    const path = `/api/patients/${patientId}/calendar-feed`
    const common = { user_id: admin.id, resource: 'feed', patient_id: patientId, patient_ids: null }
    expect(await left((headers) => admin.post(path, undefined, headers))).toMatchObject([
      { ...common, action: 'feed.create', status: 201, changes: { patientId: { before: null, after: patientId } } },
    ])
    const { id } = await admin.get(path)
    expect(await left((headers) => admin.get(path, headers))).toMatchObject([
      { ...common, action: 'feed.read', resource_id: id, status: 200, changes: null },
    ])
    expect(await left((headers) => admin.delete(path, headers))).toMatchObject([
      {
        ...common,
        action: 'feed.delete',
        resource_id: id,
        status: 204,
        changes: { patientId: { before: patientId, after: null } },
      },
    ])
  })

  it('each fetch of a feed leaves one entry, in the name of whoever made the feed, with all whom it showed', async () => {
    const { person, id, patientId, url } = await scene()
    const second = await made('/api/patients', patient())
    await book(second, id, 4)
    await book(second, id, 6)
    const row = { action: 'appointment.list', resource: 'appointment', role: 'doctor', ip: '192.0.2.1', status: 200 }
    expect(await left((headers) => fetched(url, headers))).toMatchObject([
      { ...row, user_id: person.id, patient_ids: [patientId, second] },
    ])
    const mine = await subscribe('patient', patientId, admin)
    expect(await left((headers) => fetched(mine, headers))).toMatchObject([
      { ...row, role: 'admin', user_id: admin.id, patient_ids: [patientId] },
    ])
    expect(await left((headers) => fetched(`${url}&page=2`, headers))).toEqual([])
  })

  it('a refused feed leaves one entry, and an unknown token leaves none', async () => {
    const { person, id, url } = await scene()
    await admin.patch(`/api/doctors/${id}`, { userId: null })
    const denied = { action: 'auth.denied', resource: 'appointment', user_id: person.id, resource_id: id, status: 404 }
    expect(await left((headers) => fetched(url, headers))).toMatchObject([denied])
    expect(await left((headers) => fetched(`${url}&page=2`, headers))).toMatchObject([denied])
    expect(await left((headers) => fetched(`${url}x`, headers))).toEqual([])
  })
})
