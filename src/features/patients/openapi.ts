import { exampleIds, exampleParticipants, exampleTimestamps } from '../../openapi/example-values.ts'
import type { TagDescription } from '../../openapi/tag-description.ts'

const examplePatient = {
  name: exampleParticipants.patient.name,
  dateOfBirth: '1984-02-29',
  gender: 'female',
  phone: '+4930901820',
  email: null,
  address: null,
  bloodGroup: 'A+',
  allergies: ['penicillin'],
  medicalHistory: null,
}

export const patientTag: TagDescription = {
  name: 'patients',
  description: 'Patients. A caller sees those they added, those they are, those they treat; an administrator all.',
  examples: {
    NewPatient: examplePatient,
    WholePatient: examplePatient,
    PatientPatch: { address: 'Lindenallee 1, 10115 Berlin' },
    Patient: {
      id: exampleIds.patient,
      ...examplePatient,
      userId: null,
      createdBy: exampleIds.admin,
      ...exampleTimestamps,
    },
  },
}
