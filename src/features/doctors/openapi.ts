import { exampleIds, exampleParticipants, exampleTimestamps } from '../../openapi/example-values.ts'
import type { TagDescription } from '../../openapi/tag-description.ts'

const exampleDoctor = {
  name: exampleParticipants.doctor.name,
  specialization: exampleParticipants.doctor.specialization,
  email: 'dora@example.org',
  phone: null,
  licenseNumber: null,
  experienceYears: 12,
  timeZone: 'Europe/Berlin',
  workingHours: [{ day: 'mon', from: '09:00', to: '17:00' }],
}

export const doctorTag: TagDescription = {
  name: 'doctors',
  description: 'Doctors.',
  examples: {
    WholeDoctor: exampleDoctor,
    DoctorPatch: { experienceYears: 13 },
    Doctor: { id: exampleIds.doctor, ...exampleDoctor, userId: null, ...exampleTimestamps },
  },
}
