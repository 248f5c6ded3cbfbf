import type { ConstraintProblems } from '../../http/database-problem.ts'
import { Problem } from '../../http/problem.ts'

/** What the constraints of these tables mean to whoever runs into them. */
export const appointmentConstraints: ConstraintProblems = {
  appointments_doctor_overlap: () =>
    new Problem('overlap', { detail: 'The doctor has another appointment at this time.' }),
  appointments_patient_overlap: () =>
    new Problem('overlap', { detail: 'The patient has another appointment at this time.' }),
  // Raised by a trigger under this name: it is no constraint of the catalogue.
  appointments_to_come: () =>
    new Problem('conflict', { detail: 'There are appointments to come: cancel or move them first.' }),
  appointments_end_after_start: { unreachable: 'validation compares the times' },
  appointments_patient_id_patients_id_fk: {
    unreachable: 'the patient is looked up before, and patients are never deleted',
  },
  appointments_doctor_id_doctors_id_fk: {
    unreachable: 'the doctor is looked up before, and doctors are never deleted',
  },
  appointments_created_by_users_id_fk: {
    unreachable: 'it is the caller, who has just been looked up, and accounts are never deleted',
  },
}
