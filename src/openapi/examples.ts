const exampleIds = {
  admin: '01a20866-0b6c-7359-9e2c-6fbd92d1b5a4',
  patient: '01a20866-0c1d-7e02-8d7e-9a6c1a0b2c3d',
  doctor: '01a20866-0c5e-7bb0-b1a1-5a4c3f2e1d0c',
  mapping: '01a20866-0c9f-7a11-a2b2-c3d4e5f60718',
  appointment: '01a20866-0d10-7c22-b3c3-d4e5f6071829',
  report: '01a20866-0d51-7d33-84d4-e5f60718293a',
  session: '01a20866-0d92-7e44-95e5-f60718293a4b',
  feed: '01a20866-0dd3-7f55-a6f6-0718293a4b5c',
  entry: '01a20866-0e14-7066-b707-18293a4b5c6d',
}
const exampleTime = '2026-12-01T09:00:00.000Z'
const exampleTimestamps = { createdAt: exampleTime, updatedAt: exampleTime }
const exampleToken = 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.c2lnbmF0dXJl'

const exampleAccount = { name: 'Ada Adams', email: 'ada@example.org' }
const examplePassword = 'a long password'
const exampleUser = { id: exampleIds.admin, ...exampleAccount, role: 'admin', active: true, ...exampleTimestamps }
const exampleTokens = { access: exampleToken, refresh: exampleToken, tokenType: 'Bearer', expiresIn: 1800 }

const examplePatient = {
  name: 'Zoë Zimmer',
  dateOfBirth: '1984-02-29',
  gender: 'female',
  phone: '+4930901820',
  email: null,
  address: null,
  bloodGroup: 'A+',
  allergies: ['penicillin'],
  medicalHistory: null,
}
const exampleDoctor = {
  name: 'Dr. Dora Diaz',
  specialization: 'Cardiology',
  email: 'dora@example.org',
  phone: null,
  licenseNumber: null,
  experienceYears: 12,
  timeZone: 'Europe/Berlin',
  workingHours: [{ day: 'mon', from: '09:00', to: '17:00' }],
}
const examplePatientAndDoctorIds = { patientId: exampleIds.patient, doctorId: exampleIds.doctor }
const exampleNames = {
  patient: { id: exampleIds.patient, name: examplePatient.name },
  doctor: { id: exampleIds.doctor, name: exampleDoctor.name, specialization: exampleDoctor.specialization },
}
const exampleSlot = { startsAt: '2099-01-05T09:00:00.000Z', endsAt: '2099-01-05T09:30:00.000Z' }
const exampleFeed = { id: exampleIds.feed, createdAt: exampleTime }

/** An example of each schema that has a name, all of one small hospital. */
export const schemaExamples: Record<string, unknown> = {
  Register: { ...exampleAccount, password: examplePassword },
  Login: { email: exampleAccount.email, password: examplePassword },
  Refresh: { refresh: exampleToken },
  Logout: { refresh: exampleToken },
  AccountPatch: { name: 'Ada B. Adams' },
  NewPassword: { currentPassword: examplePassword, newPassword: 'an even longer password' },
  Reset: { token: 'kR3tY0pWc1uXg7Qn', newPassword: 'an even longer password' },
  Tokens: exampleTokens,
  SignedIn: { user: exampleUser, ...exampleTokens },
  Session: {
    id: exampleIds.session,
    createdAt: exampleTime,
    lastUsedAt: exampleTime,
    ip: '192.0.2.1',
    userAgent: 'Mozilla/5.0',
    current: true,
  },
  User: exampleUser,
  OwnAccount: { ...exampleUser, doctorId: null, patientId: null },
  NewUser: { name: 'Dora Diaz', email: 'dora@example.org', password: examplePassword, role: 'doctor' },
  UserPatch: { role: 'doctor' },
  ResetToken: { token: 'kR3tY0pWc1uXg7Qn', expiresAt: exampleTime },
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
  WholeDoctor: exampleDoctor,
  DoctorPatch: { experienceYears: 13 },
  Doctor: { id: exampleIds.doctor, ...exampleDoctor, userId: null, ...exampleTimestamps },
  NewMapping: examplePatientAndDoctorIds,
  Mapping: {
    id: exampleIds.mapping,
    ...examplePatientAndDoctorIds,
    createdBy: exampleIds.admin,
    createdAt: exampleTime,
    ...exampleNames,
  },
  NewAppointment: { ...examplePatientAndDoctorIds, ...exampleSlot, reason: 'Check-up' },
  AppointmentPatch: { reason: 'Second opinion' },
  Appointment: {
    id: exampleIds.appointment,
    ...examplePatientAndDoctorIds,
    ...exampleSlot,
    status: 'scheduled',
    reason: 'Check-up',
    notes: null,
    createdBy: exampleIds.admin,
    ...exampleTimestamps,
    ...exampleNames,
  },
  Slots: { results: [exampleSlot] },
  NewReport: { file: 'blood.txt', title: 'Blood count', kind: 'lab' },
  Report: {
    id: exampleIds.report,
    patientId: exampleIds.patient,
    appointmentId: null,
    title: 'Blood count',
    kind: 'lab',
    filename: 'blood.txt',
    contentType: 'text/plain',
    size: 12,
    sha256: '7509e5bda0c762d2bac7f90d758b5b2263fa01ccbc542ab5e3df163be08e6ca9',
    uploadedBy: exampleIds.admin,
    createdAt: exampleTime,
  },
  Feed: exampleFeed,
  NewFeed: { ...exampleFeed, url: `/api/patients/${exampleIds.patient}/calendar.ics?token=kR3tY0pWc1uXg7Qn` },
  AuditEntry: {
    id: exampleIds.entry,
    at: exampleTime,
    userId: exampleIds.admin,
    role: 'admin',
    action: 'patient.update',
    resource: 'patient',
    resourceId: exampleIds.patient,
    patientId: exampleIds.patient,
    patientIds: null,
    status: 200,
    ip: '192.0.2.1',
    userAgent: 'curl/8.0',
    requestId: '01a20866-0d3e-7c4d-9f00-112233445566',
    changes: { phone: { before: null, after: '+4930901820' } },
  },
  Health: { status: 'ok' },
  Index: {
    name: 'Hospital API',
    documentation: '/docs',
    openapi: '/openapi.json',
    health: '/healthz',
    ready: '/readyz',
    api: '/api',
    firstStep: 'POST /api/auth/register { name, email, password }',
  },
}
