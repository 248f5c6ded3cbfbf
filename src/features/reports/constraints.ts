import type { ConstraintProblems } from '../../http/database-problem.ts'

/** What the constraints of these tables mean to whoever runs into them. */
export const reportConstraints: ConstraintProblems = {
  reports_size: { unreachable: 'a form takes so many bytes' },
  reports_patient_id_patients_id_fk: { unreachable: 'the patient is looked up before, and patients are never deleted' },
  reports_appointment_id_appointments_id_fk: {
    unreachable: 'the appointment is looked up before, and none is ever deleted',
  },
  reports_uploaded_by_users_id_fk: {
    unreachable: 'it is the caller, who has just been looked up, and accounts are never deleted',
  },
}
