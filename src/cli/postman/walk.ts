/** One request of the walk: an operation by its id, with what differs from the document's example. */
export type Step = {
  id: string
  /** Instead of the one status of success. */
  statuses?: number[]
  /** Fields instead of the example's; `{{name}}` is a variable. */
  body?: Record<string, unknown>
  query?: Record<string, string>
  /** Variables that the answer sets, as expressions over `answer`. */
  saves?: Record<string, string>
}

const signedIn = { access: 'answer.access', refresh: 'answer.refresh' }
const credentials = { email: '{{email}}', password: '{{password}}' }
const pair = { patientId: '{{patientId}}', doctorId: '{{doctorId}}' }
const dora = { email: 'dora.{{run}}@example.org' }
const tokenOf = (variable: string) => ({ [variable]: "answer.url.split('token=')[1]" })
const idAs = (variable: string) => ({ [variable]: 'answer.id' })

/** A walk through the whole API by an administrator: each operation at least once, in an order in which all succeed. */
export const walk: Step[] = [
  { id: 'getIndex' },
  { id: 'getHealth' },
  { id: 'getReadiness' },
  // 401 where a METRICS_TOKEN is set, 404 on Workers.
  { id: 'getMetrics', statuses: [200, 401, 404] },
  { id: 'getOpenApi' },
  { id: 'getDocs' },
  { id: 'getDocsStart' },
  { id: 'getDocsStyle' },
  { id: 'getDocsScript' },

  // 409 where the walk has been gone before.
  { id: 'register', body: credentials, statuses: [201, 409] },
  { id: 'login', body: credentials },
  { id: 'login', body: credentials, saves: signedIn },
  { id: 'refresh', body: { refresh: '{{refresh}}' }, saves: signedIn },
  { id: 'getMe' },
  { id: 'updateMe' },
  { id: 'changePassword', body: { currentPassword: '{{password}}', newPassword: '{{password}}' } },
  { id: 'login', body: credentials },
  { id: 'listSessions', saves: { sessionId: 'answer.results.find(({ current }) => !current).id' } },
  { id: 'endSession' },

  { id: 'createUser', body: { email: 'user.{{run}}@example.org' }, saves: idAs('userId') },
  { id: 'listUsers' },
  { id: 'getUser' },
  { id: 'updateUser' },
  { id: 'createResetToken', saves: { resetToken: 'answer.token' } },
  { id: 'resetPassword', body: { token: '{{resetToken}}' } },

  { id: 'createPatient', saves: idAs('patientId') },
  { id: 'listPatients', query: { q: 'zoe', count: 'true' } },
  { id: 'getPatient' },
  { id: 'replacePatient' },
  { id: 'updatePatient' },

  { id: 'createDoctor', body: dora, saves: idAs('doctorId') },
  { id: 'listDoctors', query: { sort: 'name' } },
  { id: 'getDoctor' },
  { id: 'replaceDoctor', body: dora },
  { id: 'updateDoctor' },

  { id: 'createMapping', body: pair, saves: idAs('mappingId') },
  { id: 'listMappings' },
  { id: 'getMapping' },
  { id: 'listDoctorsOfPatient' },
  { id: 'listPatientsOfDoctor' },

  {
    id: 'listSlots',
    query: { from: '2099-01-05', to: '2099-01-05', minutes: '30' },
    saves: { startsAt: 'answer.results[0].startsAt', endsAt: 'answer.results[0].endsAt' },
  },
  {
    id: 'bookAppointment',
    body: { ...pair, startsAt: '{{startsAt}}', endsAt: '{{endsAt}}' },
    saves: idAs('appointmentId'),
  },
  { id: 'listAppointments', query: { patientId: '{{patientId}}' } },
  { id: 'getAppointment' },
  { id: 'updateAppointment' },

  { id: 'uploadReport', saves: idAs('reportId') },
  { id: 'listReports' },
  { id: 'getReport' },
  { id: 'downloadReport' },
  { id: 'deleteReport' },

  { id: 'createDoctorFeed', saves: tokenOf('doctorToken') },
  { id: 'getDoctorFeed' },
  { id: 'readDoctorCalendar', query: { token: '{{doctorToken}}' } },
  { id: 'deleteDoctorFeed' },
  { id: 'createPatientFeed', saves: tokenOf('patientToken') },
  { id: 'getPatientFeed' },
  { id: 'readPatientCalendar', query: { token: '{{patientToken}}', detail: 'full' } },
  { id: 'deletePatientFeed' },

  { id: 'listAudit' },
  { id: 'listAuditOfPatient' },

  // Neither side can be deleted with an appointment to come.
  { id: 'updateAppointment', body: { reason: undefined, status: 'cancelled' } },
  { id: 'deleteMapping' },
  { id: 'deletePatient' },
  { id: 'restorePatient' },
  { id: 'deleteDoctor' },
  { id: 'restoreDoctor' },

  { id: 'logout', body: { refresh: '{{refresh}}' } },
  { id: 'login', body: credentials, saves: signedIn },
  { id: 'logoutAll' },
]
