/** What the examples of several features name. */
export const exampleIds = {
  admin: '01a20866-0b6c-7359-9e2c-6fbd92d1b5a4',
  patient: '01a20866-0c1d-7e02-8d7e-9a6c1a0b2c3d',
  doctor: '01a20866-0c5e-7bb0-b1a1-5a4c3f2e1d0c',
}

export const exampleTime = '2026-12-01T09:00:00.000Z'
export const exampleTimestamps = { createdAt: exampleTime, updatedAt: exampleTime }

/** The patient and the doctor, as a record that is about both names them. */
export const exampleParticipants = {
  patient: { id: exampleIds.patient, name: 'Zoë Zimmer' },
  doctor: { id: exampleIds.doctor, name: 'Dr. Dora Diaz', specialization: 'Cardiology' },
}
/** The two by their ids. */
export const exampleParticipantIds = { patientId: exampleIds.patient, doctorId: exampleIds.doctor }
