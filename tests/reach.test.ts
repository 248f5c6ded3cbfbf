import { describe, expect, it } from 'vitest'
import { seesPatient } from '../src/access/patient.ts'
import type { Reach } from '../src/access/permissions.ts'
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
const permitted: [Reach, (keyof typeof people)[]][] = [
  ['seen', ['adds', 'is', 'treats']],
  ['added', ['adds']],
  ['addedOrIs', ['adds', 'is']],
]

describe.each(permitted)('what reaches %s', (reach, who) => {
  it.each(Object.entries(people))(`permits nobody but ${who.join(', ')}: %s`, async (name, { id }) => {
    const { ip, userAgent, requestId } = { ip: '', userAgent: null, requestId: '' }
    const caller = {
      id,
      role: 'doctor',
      session: id,
      reach,
      action: '',
      match: null,
      ip,
      userAgent,
      requestId,
    } as const
    const expected = who.some((one) => one === name) ? 'permitted' : name === 'stranger' ? 'unseen' : 'seen'
    expect(await seesPatient(api.db, caller, patientId)).toBe(expected)
  })
})
