import { expect, it } from 'vitest'
import { type Answer, Api, doctor, patient, world } from '../support/api.ts'

const { api, url, admin } = await world({ DATABASE_POOL_MAX: '20' })
const other = await Api.start(url, { DATABASE_POOL_MAX: '20' })
const either = (i: number) => (i % 2 === 0 ? api : other)
const token = admin.access
const rounds = Array.from({ length: 20 }, (_, round) => round)
const times = <T>(n: number, act: (i: number) => Promise<T>) => Promise.all(Array.from({ length: n }, (_, i) => act(i)))
/** How many answers there are of each status. */
const tally = (answers: Answer[]) => {
  const counts: Record<number, number> = {}
  for (const { status } of answers) counts[status] = (counts[status] ?? 0) + 1
  return counts
}

const hour = 3_600_000
const soon = Math.ceil(Date.now() / hour) * hour + 48 * hour
const at = (hours: number) => new Date(soon + hours * hour).toISOString()
const book = (i: number, patientId: string, doctorId: string, from: number) =>
  either(i).send(
    'POST',
    '/api/appointments',
    { patientId, doctorId, startsAt: at(from), endsAt: at(from + 1) },
    { token },
  )
const patients = (n: number) => times(n, async () => (await admin.post('/api/patients', patient())).id)

it('a hundred bookings of one slot are one', async () => {
  const people = await patients(100)
  for (const round of rounds.slice(0, 5)) {
    const { id } = await admin.post('/api/doctors', doctor())
    const answers = await times(100, (i) => book(i, people[i] ?? '', id, round * 2))
    expect(tally(answers)).toEqual({ 201: 1, 409: 99 })
    expect((await admin.get(`/api/appointments?doctorId=${id}`)).list()).toHaveLength(1)
  }
})

it('bookings of one patient with many doctors, and crosswise, never fail otherwise than by a 409', async () => {
  const people = await patients(4)
  const doctors = await times(4, async () => (await admin.post('/api/doctors', doctor())).id)
  for (const round of rounds) {
    const answers = await times(32, (i) =>
      book(i, people[i % 4] ?? '', doctors[Math.floor(i / 4) % 4] ?? '', round * 2 + (i % 3) / 3),
    )
    expect(Object.keys(tally(answers)).sort()).toEqual(['201', '409'])
    const list = await admin.get(`/api/appointments?from=${at(round * 2)}&to=${at(round * 2 + 1)}&limit=100`)
    for (const side of ['patientId', 'doctorId']) expect(new Set(list.each(side)).size).toBe(list.list().length)
  }
})

it('of many moves to one slot one succeeds, and the others keep their time', async () => {
  for (const round of rounds) {
    const { id } = await admin.post('/api/doctors', doctor())
    const people = await patients(6)
    const booked = await times(6, async (i) => (await book(0, people[i] ?? '', id, 200 + round * 20 + i * 2)).id)
    const target = { startsAt: at(200 + round * 20 + 15), endsAt: at(200 + round * 20 + 16) }
    const answers = await times(6, (i) => either(i).send('PATCH', `/api/appointments/${booked[i]}`, target, { token }))
    expect(tally(answers)).toEqual({ 200: 1, 409: 5 })
    expect((await admin.get(`/api/appointments?doctorId=${id}`)).list()).toHaveLength(6)
  }
})

it('nobody is deleted with an appointment to come, whichever comes first', async () => {
  for (const round of rounds) {
    const [who] = await patients(1)
    const { id } = await admin.post('/api/doctors', doctor())
    const path = round % 2 === 0 ? `/api/patients/${who}` : `/api/doctors/${id}`
    const [booked, deleted] = await Promise.all([
      book(0, who ?? '', id, 1000 + round),
      other.send('DELETE', path, undefined, { token }),
    ])
    expect([`${booked.status} ${deleted.status}`]).toEqual([booked.status === 201 ? '201 409' : '400 204'])
  }
})
