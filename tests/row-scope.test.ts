import { describe, expect, it } from 'vitest'
import { getPatientAccess } from '../src/access/patient-access.ts'
import type { RequestContext } from '../src/context.ts'
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

describe.each(permitted)('what reaches %s', (scope, who) => {
  it.each(Object.entries(people))(`permits nobody but ${who.join(', ')}: %s`, async (name, { id }) => {
    const caller: RequestContext = {
      principal: { id, role: 'doctor', sessionId: id },
      scope,
      action: '',
      client: { ip: '', userAgent: null, requestId: '' },
    }
    const expected = who.some((one) => one === name) ? 'inScope' : name === 'stranger' ? 'notFound' : 'outOfScope'
    expect(await getPatientAccess(api.db, caller, patientId)).toBe(expected)
  })
})
