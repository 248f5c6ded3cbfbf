import type { ConstraintProblems } from '../../http/database-problem.ts'
import { Problem } from '../../http/problem.ts'

/** What the constraints of these tables mean to whoever runs into them. */
export const patientConstraints: ConstraintProblems = {
  patients_user_id_key: () => new Problem('conflict', { detail: 'This account is linked to a patient already.' }),
  patients_user_id_users_id_fk: { unreachable: 'the account is looked up before, and accounts are never deleted' },
  patients_created_by_users_id_fk: {
    unreachable: 'it is the caller, who has just been looked up, and accounts are never deleted',
  },
}
