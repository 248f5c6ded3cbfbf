/** One request of the walk: an operation by its id, with what differs from the document's example. */
export type WalkStep = {
  id: string
  /** Instead of the one status of success. */
  statuses?: number[]
  /** Fields instead of the example's; `{{name}}` is a variable. */
  body?: Record<string, unknown>
  query?: Record<string, string>
  /** Variables that the answer sets, as expressions over `answer`. */
  saves?: Record<string, string>
}

const saveTokens = { access: 'answer.access', refresh: 'answer.refresh' }
const walkCredentials = { email: '{{email}}', password: '{{password}}' }
const patientAndDoctor = { patientId: '{{patientId}}', doctorId: '{{doctorId}}' }
const doctorEmail = { email: 'dora.{{run}}@example.org' }
const saveFeedToken = (variable: string) => ({ [variable]: "answer.url.split('token=')[1]" })
const saveIdAs = (variable: string) => ({ [variable]: 'answer.id' })

/*
 * A walk through the whole API by an administrator: each operation at least once, in an order in which all succeed. What no
 * step names is asked between the two parts, in the document's order and with its examples.
 */

/** The walk to where everything has been made and looked at. */
export const firstSteps: WalkStep[] = [
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
  { id: 'register', body: walkCredentials, statuses: [201, 409] },
  { id: 'login', body: walkCredentials },
  { id: 'login', body: walkCredentials, saves: saveTokens },
  { id: 'refresh', body: { refresh: '{{refresh}}' }, saves: saveTokens },
  { id: 'getMe' },
  { id: 'updateMe' },
  { id: 'changePassword', body: { currentPassword: '{{password}}', newPassword: '{{password}}' } },
  { id: 'login', body: walkCredentials },
  { id: 'listSessions', saves: { sessionId: 'answer.results.find(({ current }) => !current).id' } },
  { id: 'endSession' },

  { id: 'createUser', body: { email: 'user.{{run}}@example.org' }, saves: saveIdAs('userId') },
  { id: 'listUsers' },
  { id: 'getUser' },
  { id: 'updateUser' },
  { id: 'createResetToken', saves: { resetToken: 'answer.token' } },
  { id: 'resetPassword', body: { token: '{{resetToken}}' } },

  { id: 'createPatient', saves: saveIdAs('patientId') },
  { id: 'listPatients', query: { q: 'zoe', count: 'true' } },
  { id: 'getPatient' },
  { id: 'replacePatient' },
  { id: 'updatePatient' },

  { id: 'createDoctor', body: doctorEmail, saves: saveIdAs('doctorId') },
  { id: 'listDoctors', query: { sort: 'name' } },
  { id: 'getDoctor' },
  { id: 'replaceDoctor', body: doctorEmail },
  { id: 'updateDoctor' },

  { id: 'createMapping', body: patientAndDoctor, saves: saveIdAs('mappingId') },
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
    body: { ...patientAndDoctor, startsAt: '{{startsAt}}', endsAt: '{{endsAt}}' },
    saves: saveIdAs('appointmentId'),
  },
  { id: 'listAppointments', query: { patientId: '{{patientId}}' } },
  { id: 'getAppointment' },
  { id: 'updateAppointment' },

  { id: 'uploadReport', saves: saveIdAs('reportId') },
  { id: 'listReports' },
  { id: 'getReport' },
  { id: 'downloadReport' },
  { id: 'deleteReport' },

  { id: 'createDoctorFeed', saves: saveFeedToken('doctorToken') },
  { id: 'getDoctorFeed' },
  { id: 'readDoctorCalendar', query: { token: '{{doctorToken}}' } },
  { id: 'deleteDoctorFeed' },
  { id: 'createPatientFeed', saves: saveFeedToken('patientToken') },
  { id: 'getPatientFeed' },
  { id: 'readPatientCalendar', query: { token: '{{patientToken}}', detail: 'full' } },
  { id: 'deletePatientFeed' },

  { id: 'listAudit' },
  { id: 'listAuditOfPatient' },
]

/** Takes everything away again, and signs out. */
export const lastSteps: WalkStep[] = [
  // Neither side can be deleted with an appointment to come.
  { id: 'updateAppointment', body: { reason: undefined, status: 'cancelled' } },
  { id: 'deleteMapping' },
  { id: 'deletePatient' },
  { id: 'restorePatient' },
  { id: 'deleteDoctor' },
  { id: 'restoreDoctor' },

  { id: 'logout', body: { refresh: '{{refresh}}' } },
  { id: 'login', body: walkCredentials, saves: saveTokens },
  { id: 'logoutAll' },
]
