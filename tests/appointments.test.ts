import { sql } from 'drizzle-orm'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { doctor, type Person, patient, world } from './support/api.ts'

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
const pair = async (more = {}, by = admin) => ({
  patientId: await made('/api/patients', patient(), by),
  doctorId: await made('/api/doctors', doctor(more)),
})
const book = (ids: { patientId: string; doctorId: string }, from = 0, to = from + 1, by = admin) =>
  by.post('/api/appointments', { ...ids, startsAt: at(from), endsAt: at(to) })
const asDoctor = async (name: string): Promise<{ person: Person; id: string }> => {
  const person = await api.register(name)
  await admin.patch(`/api/users/${person.id}`, { role: 'doctor' })
  return { person, id: await made('/api/doctors', doctor({ userId: person.id })) }
}

describe('Booking', () => {
  it('a booking is answered with the appointment, its patient and its doctor', async () => {
    const ids = await pair()
    const booked = await admin.post('/api/appointments', {
      ...ids,
      startsAt: at(0).replace('Z', '+00:00'),
      endsAt: at(1),
      reason: ' cough ',
    })
    expect(booked.status).toBe(201)
    expect(booked.headers.get('Location')).toBe(`/api/appointments/${booked.id}`)
    expect(booked.body).toEqual({
      id: booked.id,
      ...ids,
      startsAt: at(0),
      endsAt: at(1),
      status: 'scheduled',
      reason: 'cough',
      notes: null,
      createdBy: admin.id,
      createdAt: expect.any(String),
      updatedAt: expect.any(String),
      patient: { id: ids.patientId, name: 'Pat Patient' },
      doctor: { id: ids.doctorId, name: 'Dora Doctor', specialization: 'Cardiology' },
    })
    expect((await admin.get(`/api/appointments/${booked.id}/`)).body).toEqual(booked.body)
  })

  it('a booking that overlaps for the doctor or the patient is refused; ends may touch, and cancelling frees the time', async () => {
    const [one, two] = [await pair(), await pair()]
    const booked = await book(one, 0, 2)
    for (const [ids, from, to] of [
      [{ ...two, doctorId: one.doctorId }, 1, 3],
      [{ ...two, patientId: one.patientId }, -1, 1],
      [{ ...two, doctorId: one.doctorId }, 0.5, 1],
    ] as const) {
      const refused = await book(ids, from, to)
      expect([refused.status, refused.at('type')]).toEqual([409, '/problems/overlap'])
    }
    expect((await book({ ...two, doctorId: one.doctorId }, 2, 3)).status).toBe(201)
    expect((await book({ ...two, doctorId: one.doctorId }, -1, 0)).status).toBe(201)
    expect((await admin.patch(`/api/appointments/${booked.id}`, { status: 'cancelled' })).at('status')).toBe(
      'cancelled',
    )
    expect((await book({ ...two, doctorId: one.doctorId }, 0, 2)).status).toBe(201)
  })

  it.each([
    ['under five minutes', 0, 4 / 60, 'duration'],
    ['over eight hours', 0, 8.01, 'duration'],
    ['in the past', -100, -99, 'in-the-past'],
  ])('a booking is refused when its time is %s', async (_, from, to, type) => {
    const refused = await book(await pair(), from, to)
    expect([refused.status, refused.at('type')]).toEqual([409, `/problems/${type}`])
  })

  it.each([
    ['ends before it starts', { startsAt: at(1), endsAt: at(0) }, ['endsAt']],
    ['is empty', { startsAt: at(1), endsAt: at(1) }, ['endsAt']],
    ['has no offset', { startsAt: '2030-01-01T10:00:00', endsAt: '2030-01-01T11:00:00' }, ['startsAt', 'endsAt']],
    ['is at 24:00', { startsAt: '2030-01-01T24:00:00Z', endsAt: '2030-01-02T01:00:00Z' }, ['startsAt']],
    [
      'is in the year 10000',
      { startsAt: '9999-12-31T23:00:00-02:00', endsAt: '10000-01-01T02:00:00Z' },
      ['startsAt', 'endsAt'],
    ],
    [
      'is on a day that does not exist',
      { startsAt: '2030-02-30T10:00:00Z', endsAt: '2030-03-01T01:00:00Z' },
      ['startsAt'],
    ],
  ])('a booking is refused when its range %s', async (_, times, faults) => {
    const refused = await admin.post('/api/appointments', { ...(await pair()), ...times })
    expect([refused.status, refused.faults]).toEqual([400, faults])
  })

  it('a booking does not find people who are deleted or not visible', async () => {
    const stranger = await api.register('Stranger')
    const ids = await pair()
    const unseen = await book(ids, 0, 1, stranger)
    const absent = await book({ patientId: crypto.randomUUID(), doctorId: crypto.randomUUID() }, 0, 1, stranger)
    expect([unseen.status, unseen.faults]).toEqual([400, ['patientId']])
    expect([absent.status, absent.faults]).toEqual([400, ['patientId', 'doctorId']])
    await admin.delete(`/api/doctors/${ids.doctorId}`)
    expect((await book(ids)).faults).toEqual(['doctorId'])
  })

  it('a patient is booked with any doctor by whoever added them, by the patient and by the doctors who treat them', async () => {
    const owner = await api.register('Owner')
    const { person, id } = await asDoctor('Treating')
    const ids = await pair({}, owner)
    expect((await book(ids, 0, 1, owner)).status).toBe(201)
    expect((await book(ids, 2, 3, person)).status).toBe(400)
    await admin.post('/api/mappings', { patientId: ids.patientId, doctorId: id })
    expect((await book(ids, 2, 3, person)).status).toBe(201)
  })
})

describe('An appointment', () => {
  it('an appointment moves, and keeps its old time where the new one is taken', async () => {
    const ids = await pair()
    const [one, two] = [await book(ids, 0, 1), await book(ids, 5, 6)]
    const moved = await admin.patch(`/api/appointments/${one.id}`, { startsAt: at(2), endsAt: at(3) })
    expect([moved.status, moved.at('startsAt'), moved.at('endsAt')]).toEqual([200, at(2), at(3)])
    expect((await admin.patch(`/api/appointments/${one.id}`, { endsAt: at(4) })).at('startsAt')).toBe(at(2))
    const taken = await admin.patch(`/api/appointments/${one.id}`, { startsAt: at(5.5), endsAt: at(6.5) })
    expect([taken.status, taken.at('type')]).toEqual([409, '/problems/overlap'])
    expect((await admin.get(`/api/appointments/${one.id}`)).at('startsAt')).toBe(at(2))
    expect((await admin.patch(`/api/appointments/${two.id}`, { startsAt: at(7) })).faults).toEqual(['endsAt'])
    expect((await admin.patch(`/api/appointments/${two.id}`, { endsAt: at(15) })).at('type')).toBe('/problems/duration')
    expect((await admin.patch(`/api/appointments/${two.id}`, { startsAt: at(-100) })).at('type')).toBe(
      '/problems/duration',
    )
    expect((await admin.patch(`/api/appointments/${two.id}`, { startsAt: at(-100), endsAt: at(-99) })).at('type')).toBe(
      '/problems/in-the-past',
    )
  })

  it('a doctor writes the notes of their own appointments, and of no other that they see', async () => {
    const { person, id } = await asDoctor('Own')
    const patientId = await made('/api/patients', patient())
    await admin.post('/api/mappings', { patientId, doctorId: id })
    const own = await book({ patientId, doctorId: id }, 0)
    const other = await book({ patientId, doctorId: await made('/api/doctors', doctor()) }, 2)
    expect((await person.patch(`/api/appointments/${own.id}`, { notes: 'seen' })).status).toBe(200)
    expect((await person.patch(`/api/appointments/${other.id}`, { notes: 'seen' })).status).toBe(403)
  })

  it('an appointment may last eight hours, and five minutes, and no more and no less', async () => {
    const lengths: [hours: number, status: number][] = [
      [8, 201],
      [8 + 1 / 60, 409],
      [5 / 60, 201],
      [4 / 60, 409],
    ]
    for (const [hours, status] of lengths) expect((await book(await pair(), 0, hours)).status).toBe(status)
  })

  it('an appointment does not move outside the hours of its doctor', async () => {
    const hours = { timeZone: 'UTC', workingHours: [{ day: 'mon', from: '09:00', to: '17:00' }] }
    const monday = { startsAt: '2040-01-02T10:00:00.000Z', endsAt: '2040-01-02T11:00:00.000Z' }
    const booked = await admin.post('/api/appointments', { ...(await pair(hours)), ...monday })
    expect(booked.status, booked.text).toBe(201)
    const path = `/api/appointments/${booked.id}`
    const moved = await admin.patch(path, { startsAt: '2040-01-02T17:00:00.000Z', endsAt: '2040-01-02T18:00:00.000Z' })
    expect([moved.status, moved.at('type')]).toEqual([409, '/problems/outside-hours'])
    expect((await admin.get(path)).body).toEqual(booked.body)
  })

  it('an appointment of a deleted patient cannot be changed, also by whoever added the patient', async () => {
    const owner = await api.register('Owner')
    const patientId = await made('/api/patients', patient(), owner)
    const booked = await book({ patientId, doctorId: await made('/api/doctors', doctor()) }, 0, 1, owner)
    await api.db.execute(
      sql`update appointments set starts_at = now() - interval '2 hours', ends_at = now() - interval '1 hour' where id = ${booked.id}`,
    )
    expect((await owner.delete(`/api/patients/${patientId}`)).status).toBe(204)
    expect((await owner.patch(`/api/appointments/${booked.id}`, { reason: 'planted' })).status).toBe(404)
    const [row] = await api.db.execute(sql`select reason from appointments where id = ${booked.id}`)
    expect(row?.reason).toBeNull()
  })

  it('an appointment changes only while it is scheduled, and setting the same status again changes nothing', async () => {
    const booked = await book(await pair())
    const path = `/api/appointments/${booked.id}`
    expect((await admin.patch(path, { status: 'scheduled' })).body).toEqual(booked.body)
    const cancelled = await admin.patch(path, { status: 'cancelled', reason: null })
    expect(cancelled.status).toBe(200)
    expect((await admin.patch(path, { status: 'cancelled' })).body).toEqual(cancelled.body)
    for (const change of [
      { status: 'scheduled' },
      { reason: 'x' },
      { startsAt: at(9), endsAt: at(10) },
      { status: 'completed' },
    ])
      expect((await admin.patch(path, change)).status).toBe(409)
    expect((await admin.get(path)).body).toEqual(cancelled.body)
  })

  it('an appointment is not closed before it began, and its status does not change together with its times', async () => {
    const booked = await book(await pair())
    for (const status of ['completed', 'no_show'])
      expect((await admin.patch(`/api/appointments/${booked.id}`, { status })).status).toBe(409)
    const both = await admin.patch(`/api/appointments/${booked.id}`, { status: 'cancelled', startsAt: at(3) })
    expect([both.status, both.faults]).toEqual([400, ['status']])
  })

  it('an appointment is completed and annotated by its own doctor, and moved and cancelled by those who see the patient', async () => {
    const owner = await api.register('Owner')
    const [own, treating] = [await asDoctor('Own'), await asDoctor('Treating')]
    const patientId = await made('/api/patients', patient(), owner)
    await admin.post('/api/mappings', { patientId, doctorId: treating.id })
    const booked = await book({ patientId, doctorId: own.id }, 0, 1, owner)
    const path = `/api/appointments/${booked.id}`
    for (const who of [owner, own.person, treating.person]) expect((await who.get(path)).status).toBe(200)
    expect((await own.person.get(`/api/patients/${patientId}`)).status).toBe(404)
    expect((await own.person.patch(path, { notes: 'seen' })).at('notes')).toBe('seen')
    expect((await treating.person.patch(path, { notes: 'mine' })).status).toBe(403)
    expect((await owner.patch(path, { notes: 'mine' })).status).toBe(403)
    expect((await owner.patch(path, { status: 'no_show' })).status).toBe(403)
    expect((await own.person.patch(path, { status: 'completed' })).status).toBe(409)
    expect((await treating.person.patch(path, { startsAt: at(1), endsAt: at(2) })).status).toBe(200)
    expect((await own.person.patch(path, { startsAt: at(2), endsAt: at(3) })).status).toBe(200)
    expect((await owner.patch(path, { status: 'cancelled' })).status).toBe(200)
    const stranger = await api.register('Stranger')
    expect((await stranger.get(path)).status).toBe(404)
    expect((await stranger.patch(path, { nonsense: 1 })).status).toBe(404)
    expect((await stranger.get('/api/appointments')).list()).toEqual([])
  })

  it('an appointment keeps its people from being deleted until it is cancelled; a deleted patient’s is hidden and comes back', async () => {
    const ids = await pair()
    const booked = await book(ids)
    for (const path of [`/api/patients/${ids.patientId}`, `/api/doctors/${ids.doctorId}`])
      expect((await admin.delete(path)).status).toBe(409)
    await admin.patch(`/api/appointments/${booked.id}`, { status: 'cancelled' })
    expect((await admin.delete(`/api/patients/${ids.patientId}`)).status).toBe(204)
    expect((await admin.get(`/api/appointments/${booked.id}`)).status).toBe(404)
    expect((await admin.get(`/api/appointments?doctorId=${ids.doctorId}`)).list()).toEqual([])
    await admin.post(`/api/patients/${ids.patientId}/restore`)
    expect((await admin.delete(`/api/doctors/${ids.doctorId}`)).status).toBe(204)
    expect((await admin.get(`/api/appointments/${booked.id}`)).at('doctor.name')).toBe('Dora Doctor')
  })

  it('an appointment is not shown any more to the account of a doctor who was deleted', async () => {
    const { person, id } = await asDoctor('Leaving')
    const booked = await book({ patientId: await made('/api/patients', patient()), doctorId: id })
    expect((await person.patch(`/api/appointments/${booked.id}`, { status: 'cancelled' })).status).toBe(200)
    expect((await person.get('/api/appointments')).each('id')).toEqual([booked.id])
    await admin.delete(`/api/doctors/${id}`)
    expect((await person.get(`/api/appointments/${booked.id}`)).status).toBe(404)
    expect((await person.get('/api/appointments')).list()).toEqual([])
  })

  it('appointments are listed by patient, doctor, status and start', async () => {
    const ids = await pair()
    const [one, two] = [await book(ids, 0), await book(ids, 3)]
    await admin.patch(`/api/appointments/${one.id}`, { status: 'cancelled' })
    const found = async (query: string) =>
      (await admin.get(`/api/appointments?doctorId=${ids.doctorId}&${query}`)).each('id')
    expect(await found('')).toEqual([two.id, one.id])
    expect(await found(`patientId=${ids.patientId}&status=cancelled`)).toEqual([one.id])
    expect(await found(`from=${at(3)}`)).toEqual([two.id])
    expect(await found(`to=${at(3)}`)).toEqual([one.id])
    expect((await admin.get('/api/appointments?status=gone&from=now')).faults).toEqual(['status', 'from'])
  })
})

const everyDay = (from: string, to: string) =>
  ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'].map((day) => ({ day, from, to }))
const slots = async (id: string, from: string, to: string, minutes: number) => {
  const answer = await admin.get(`/api/doctors/${id}/slots?from=${from}&to=${to}&minutes=${minutes}`)
  expect(answer.status, answer.text).toBe(200)
  return answer.each('startsAt')
}
const day = (offset: number) => new Date(soon.getTime() + offset * 24 * hour).toISOString().slice(0, 10)

describe('Slots', () => {
  it('slots are a grid over the working hours, without what is booked', async () => {
    const ids = await pair({ workingHours: everyDay('09:00', '11:00') })
    const on = (clock: string) => `${day(2)}T${clock}:00.000Z`
    expect(await slots(ids.doctorId, day(2), day(2), 30)).toEqual([on('09:00'), on('09:30'), on('10:00'), on('10:30')])
    expect(await slots(ids.doctorId, day(2), day(2), 50)).toEqual([on('09:00'), on('09:50')])
    expect(await slots(ids.doctorId, day(2), day(3), 120)).toEqual([on('09:00'), `${day(3)}T09:00:00.000Z`])
    await admin.post('/api/appointments', { ...ids, startsAt: on('09:15'), endsAt: on('10:00') })
    expect(await slots(ids.doctorId, day(2), day(2), 30)).toEqual([on('10:00'), on('10:30')])
  })

  it('slots fill the day where no hours are set, and there are none where the hours are empty or the day is past', async () => {
    const [always, never] = [await pair(), await pair({ workingHours: [] })]
    expect(await slots(always.doctorId, day(2), day(2), 480)).toHaveLength(3)
    expect(await slots(never.doctorId, day(2), day(2), 480)).toEqual([])
    expect(await slots(always.doctorId, '2020-01-01', '2020-01-02', 480)).toEqual([])
    expect((await book(never)).at('type')).toBe('/problems/outside-hours')
  })

  it('slots are right on the day on which clocks go forward', async () => {
    // Berlin, 2030-03-31: 02:00 becomes 03:00.
    const { doctorId } = await pair({
      timeZone: 'Europe/Berlin',
      workingHours: [{ day: 'sun', from: '01:30', to: '04:00' }],
    })
    expect(await slots(doctorId, '2030-03-31', '2030-03-31', 30)).toEqual([
      '2030-03-31T00:30:00.000Z',
      '2030-03-31T01:00:00.000Z',
      '2030-03-31T01:30:00.000Z',
    ])
    const gap = await pair({ timeZone: 'Europe/Berlin', workingHours: [{ day: 'sun', from: '02:30', to: '04:00' }] })
    expect(await slots(gap.doctorId, '2030-03-31', '2030-03-31', 30)).toEqual(['2030-03-31T01:30:00.000Z'])
  })

  it('slots are right on the day on which clocks go back: 01:30 comes twice', async () => {
    // New York, 2030-11-03: 02:00 becomes 01:00.
    const { doctorId } = await pair({
      timeZone: 'America/New_York',
      workingHours: [{ day: 'sun', from: '01:00', to: '02:00' }],
    })
    expect(await slots(doctorId, '2030-11-03', '2030-11-03', 30)).toEqual([
      '2030-11-03T05:00:00.000Z',
      '2030-11-03T05:30:00.000Z',
      '2030-11-03T06:00:00.000Z',
      '2030-11-03T06:30:00.000Z',
    ])
    const half = await pair({
      timeZone: 'America/New_York',
      workingHours: [{ day: 'sun', from: '00:30', to: '01:30' }],
    })
    expect(await slots(half.doctorId, '2030-11-03', '2030-11-03', 60)).toEqual([
      '2030-11-03T04:30:00.000Z',
      '2030-11-03T05:30:00.000Z',
    ])
  })

  it('slots continue over spans that touch, also over midnight', async () => {
    const ids = await pair({ workingHours: [...everyDay('22:00', '24:00'), ...everyDay('00:00', '02:00')] })
    expect(await slots(ids.doctorId, day(2), day(2), 180)).toEqual([`${day(2)}T22:00:00.000Z`])
    const over = { ...ids, startsAt: `${day(2)}T23:00:00Z`, endsAt: `${day(3)}T01:00:00Z` }
    expect((await admin.post('/api/appointments', over)).status).toBe(201)
    expect(
      (
        await admin.post('/api/appointments', {
          ...over,
          startsAt: `${day(3)}T01:00:00Z`,
          endsAt: `${day(3)}T02:30:00Z`,
        })
      ).at('type'),
    ).toBe('/problems/outside-hours')
  })

  it.each([
    ['from=2030-01-01&to=2030-01-02', ['minutes']],
    ['minutes=30', ['from', 'to']],
    ['from=2030-01-02&to=2030-01-01&minutes=30', ['to']],
    ['from=2030-01-01&to=2030-02-01&minutes=30', ['to']],
    ['from=2030-01-01&to=2030-01-01&minutes=4', ['minutes']],
    ['from=2030-01-01&to=2030-01-01&minutes=481', ['minutes']],
    ['from=2030-02-30&to=2030-03-01&minutes=30', ['from']],
    ['from=2030-01-01&to=2030-01-01&minutes=30&zone=UTC', ['zone']],
  ])('a request for slots with ?%s is refused', async (query, faults) => {
    const refused = await admin.get(`/api/doctors/${(await pair()).doctorId}/slots?${query}`)
    expect([refused.status, refused.faults]).toEqual([400, faults])
    expect((await admin.get(`/api/doctors/${crypto.randomUUID()}/slots?${query}`)).status).toBe(404)
  })

  it('every slot can be booked and no other time, in any zone, around the days on which clocks change', async () => {
    const clock = fc
      .integer({ min: 0, max: 47 })
      .map((half) => `${String(Math.floor(half / 2)).padStart(2, '0')}:${half % 2 === 0 ? '00' : '30'}`)
    const spans = fc.uniqueArray(clock, { minLength: 2, maxLength: 4 }).map((clocks) => {
      const [a = '00:00', b = '24:00', c, d] = [...clocks].sort()
      return c && d ? [...everyDay(a, b), ...everyDay(c, d)] : everyDay(a, b)
    })
    const zone = fc.constantFrom(
      'UTC',
      'Europe/Berlin',
      'America/New_York',
      'Europe/Dublin',
      'Australia/Lord_Howe',
      'Asia/Kolkata',
      'America/Santiago',
      'Pacific/Apia',
    )
    const from = fc.constantFrom(
      '2030-03-30',
      '2030-10-26',
      '2030-03-09',
      '2030-11-02',
      '2030-04-06',
      '2030-10-05',
      '2030-09-07',
    )
    const minutes = fc.constantFrom(30, 45, 60, 90, 240)
    await fc.assert(
      fc.asyncProperty(
        spans,
        zone,
        from,
        minutes,
        fc.integer({ min: 0, max: 150 }),
        async (workingHours, timeZone, first, length, step) => {
          const ids = await pair({ workingHours, timeZone })
          const last = new Date(Date.parse(first) + 24 * hour).toISOString().slice(0, 10)
          const offered = await slots(ids.doctorId, first, last, length)
          const wanted = [
            ...offered.slice(0, 2),
            ...offered.slice(-1),
            new Date(Date.parse(first) - 6 * hour + step * 1_200_000).toISOString(),
          ]
          for (const startsAt of new Set(wanted.map(String))) {
            const endsAt = new Date(Date.parse(startsAt) + length * 60_000).toISOString()
            const booked = await admin.post('/api/appointments', { ...ids, startsAt, endsAt })
            if (offered.includes(startsAt))
              expect([startsAt, booked.status, booked.text]).toEqual([startsAt, 201, booked.text])
            else if (booked.status !== 201) expect(booked.at('type')).toBe('/problems/outside-hours')
            if (booked.status !== 201) continue
            // What can be booked is within the hours, so that a grid that begins with it offers it once it is free again.
            expect(await slots(ids.doctorId, first, last, length)).not.toContain(startsAt)
            await admin.patch(`/api/appointments/${booked.id}`, { status: 'cancelled' })
          }
          expect(await slots(ids.doctorId, first, last, length)).toEqual(offered)
        },
      ),
      { numRuns: 25 },
    )
  })
})
