import type { ConstraintProblems } from '../../http/database-problem.ts'

/** What the constraints of these tables mean to whoever runs into them. */
export const calendarConstraints: ConstraintProblems = {
  feeds_token_hash_key: { unreachable: 'tokens are 256 random bits' },
  feeds_of_one: { unreachable: 'the statement is of a doctor or of a patient' },
  feeds_user_id_doctor_id_key: { unreachable: 'a feed takes the place of the one before' },
  feeds_user_id_patient_id_key: { unreachable: 'a feed takes the place of the one before' },
  feeds_doctor_id_doctors_id_fk: { unreachable: 'the statement takes the id of a doctor' },
  feeds_patient_id_patients_id_fk: { unreachable: 'the statement takes the id of a patient' },
  feeds_user_id_users_id_fk: {
    unreachable: 'it is the caller, who has just been looked up, and accounts are never deleted',
  },
}
