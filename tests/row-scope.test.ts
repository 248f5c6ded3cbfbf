import { describe, expect, it } from 'vitest'
import { getPatientAccess } from '../src/access/patient-access.ts'
import type { RequestContext } from '../src/context.ts'
import { bookAppointment, changeAppointment } from '../src/features/appointments/queries.ts'
import { createMapping } from '../src/features/mappings/queries.ts'
import { Problem } from '../src/http/problem.ts'
import type { RowScope } from '../src/roles.ts'
import { doctor, patient, world } from './support/api.ts'

const { api, admin } = await world()
const [adds, is, treats, stranger] = [
  await api.register('Adds'),
  await api.register('Is'),
  await api.register('Treats'),
  await api.register('Stranger'),
]
await admin.patch(`/api/users/${treats.id}`, { role: 'doctor' })
const { id: doctorId } = await admin.post('/api/doctors', doctor({ userId: treats.id }))
const { id: patientId } = await adds.post('/api/patients', patient())
await admin.patch(`/api/patients/${patientId}`, { userId: is.id })
await admin.post('/api/mappings', { patientId, doctorId })
const people = { adds, is, treats, stranger }

/** Whom each reach permits, of those who see the patient. Also the pairs of role and reach that no permission has today. */
const permitted: [RowScope, (keyof typeof people)[]][] = [
  ['visible', ['adds', 'is', 'treats']],
  ['createdByCaller', ['adds']],
  ['createdByOrSelf', ['adds', 'is']],
]

const contextOf = (id: string, scope: RowScope): RequestContext => ({
  principal: { id, role: 'doctor', sessionId: id },
  scope,
  action: 'planted',
  client: { ip: '192.0.2.1', userAgent: null, requestId: 'planted' },
})

/** What comes of an act: `done`, or the status of the problem. */
const outcomeOf = (act: Promise<unknown>) =>
  act.then(
    () => 'done',
    (error: unknown) => (error instanceof Problem ? error.status : error),
  )
let hour = 0
/** Times of an appointment that no other has. */
const newTimes = () => {
  hour += 1
  const [startsAt, endsAt] = [hour, hour + 0.5].map((at) =>
    new Date(Date.UTC(2040, 0, 2) + at * 3_600_000).toISOString(),
  )
  return { startsAt: startsAt ?? '', endsAt: endsAt ?? '' }
}

describe.each(permitted)('what reaches %s', (scope, who) => {
  const isPermitted = (name: string) => who.some((one) => one === name)

  it.each(Object.entries(people))(`permits nobody but ${who.join(', ')}: %s`, async (name, { id }) => {
    const expected = isPermitted(name) ? 'inScope' : name === 'stranger' ? 'notFound' : 'outOfScope'
    expect(await getPatientAccess(api.db, contextOf(id, scope), patientId)).toBe(expected)
  })

  it.each(Object.entries(people))(
    `lets nobody but ${who.join(', ')} book, map and change: %s`,
    async (name, { id }) => {
      const context = contextOf(id, scope)
      const booked = bookAppointment(api.db, context, { patientId, doctorId, ...newTimes(), reason: null })
      expect(await outcomeOf(booked)).toBe(isPermitted(name) ? 'done' : name === 'stranger' ? 400 : 403)
      const other = (await admin.post('/api/doctors', doctor())).id
      const mapped = createMapping(api.db, context, { patientId, doctorId: other })
      expect(await outcomeOf(mapped)).toBe(isPermitted(name) ? 'done' : name === 'stranger' ? 400 : 403)
      const existing = (await admin.post('/api/appointments', { patientId, doctorId, ...newTimes() })).id
      const changed = changeAppointment(api.db, context, existing, null, { reason: 'planted' })
      expect(await outcomeOf(changed)).toBe(isPermitted(name) ? 'done' : name === 'stranger' ? 404 : 403)
    },
  )
})
