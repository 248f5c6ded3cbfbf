import type { ConstraintProblems } from '../../http/database-problem.ts'
import { Problem } from '../../http/problem.ts'

/** What the constraints of these tables mean to whoever runs into them. */
export const mappingConstraints: ConstraintProblems = {
  mappings_patient_id_doctor_id_key: () => new Problem('conflict', { detail: 'This patient has this doctor already.' }),
  mappings_patient_id_patients_id_fk: {
    unreachable: 'the statement takes the id of a patient, and patients are never deleted',
  },
  mappings_doctor_id_doctors_id_fk: {
    unreachable: 'the statement takes the id of a doctor, and doctors are never deleted',
  },
  mappings_created_by_users_id_fk: {
    unreachable: 'it is the caller, who has just been looked up, and accounts are never deleted',
  },
}
