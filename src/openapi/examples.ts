const ids = {
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
const at = '2026-12-01T09:00:00.000Z'
const times = { createdAt: at, updatedAt: at }
const token = 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.c2lnbmF0dXJl'

const account = { name: 'Ada Adams', email: 'ada@example.org' }
const password = 'a long password'
const user = { id: ids.admin, ...account, role: 'admin', active: true, ...times }
const tokens = { access: token, refresh: token, tokenType: 'Bearer', expiresIn: 1800 }

const patient = {
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
const doctor = {
  name: 'Dr. Dora Diaz',
  specialization: 'Cardiology',
  email: 'dora@example.org',
  phone: null,
  licenseNumber: null,
  experienceYears: 12,
  timeZone: 'Europe/Berlin',
  workingHours: [{ day: 'mon', from: '09:00', to: '17:00' }],
}
const between = { patientId: ids.patient, doctorId: ids.doctor }
const sides = {
  patient: { id: ids.patient, name: patient.name },
  doctor: { id: ids.doctor, name: doctor.name, specialization: doctor.specialization },
}
const slot = { startsAt: '2099-01-05T09:00:00.000Z', endsAt: '2099-01-05T09:30:00.000Z' }
const feed = { id: ids.feed, createdAt: at }

/** An example of each schema that has a name, all of one small hospital. */
export const examples: Record<string, unknown> = {
  Register: { ...account, password },
  Login: { email: account.email, password },
  Refresh: { refresh: token },
  Logout: { refresh: token },
  AccountPatch: { name: 'Ada B. Adams' },
  NewPassword: { currentPassword: password, newPassword: 'an even longer password' },
  Reset: { token: 'kR3tY0pWc1uXg7Qn', newPassword: 'an even longer password' },
  Tokens: tokens,
  SignedIn: { user, ...tokens },
  Session: {
    id: ids.session,
    createdAt: at,
    lastUsedAt: at,
    ip: '192.0.2.1',
    userAgent: 'Mozilla/5.0',
    current: true,
  },
  User: user,
  OwnAccount: { ...user, doctorId: null, patientId: null },
  NewUser: { name: 'Dora Diaz', email: 'dora@example.org', password, role: 'doctor' },
  UserPatch: { role: 'doctor' },
  ResetToken: { token: 'kR3tY0pWc1uXg7Qn', expiresAt: at },
  NewPatient: patient,
  WholePatient: patient,
  PatientPatch: { address: 'Lindenallee 1, 10115 Berlin' },
  Patient: { id: ids.patient, ...patient, userId: null, createdBy: ids.admin, ...times },
  WholeDoctor: doctor,
  DoctorPatch: { experienceYears: 13 },
  Doctor: { id: ids.doctor, ...doctor, userId: null, ...times },
  NewMapping: between,
  Mapping: { id: ids.mapping, ...between, createdBy: ids.admin, createdAt: at, ...sides },
  NewAppointment: { ...between, ...slot, reason: 'Check-up' },
  AppointmentPatch: { reason: 'Second opinion' },
  Appointment: {
    id: ids.appointment,
    ...between,
    ...slot,
    status: 'scheduled',
    reason: 'Check-up',
    notes: null,
    createdBy: ids.admin,
    ...times,
    ...sides,
  },
  Slots: { results: [slot] },
  NewReport: { file: 'blood.txt', title: 'Blood count', kind: 'lab' },
  Report: {
    id: ids.report,
    patientId: ids.patient,
    appointmentId: null,
    title: 'Blood count',
    kind: 'lab',
    filename: 'blood.txt',
    contentType: 'text/plain',
    size: 12,
    sha256: '7509e5bda0c762d2bac7f90d758b5b2263fa01ccbc542ab5e3df163be08e6ca9',
    uploadedBy: ids.admin,
    createdAt: at,
  },
  Feed: feed,
  NewFeed: { ...feed, url: `/api/patients/${ids.patient}/calendar.ics?token=kR3tY0pWc1uXg7Qn` },
  AuditEntry: {
    id: ids.entry,
    at,
    userId: ids.admin,
    role: 'admin',
    action: 'patient.update',
    resource: 'patient',
    resourceId: ids.patient,
    patientId: ids.patient,
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
