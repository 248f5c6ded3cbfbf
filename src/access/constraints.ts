import type { ConstraintProblems } from '../http/database-problem.ts'

/** What the constraints of these tables mean to whoever runs into them. */
export const accessConstraints: ConstraintProblems = {
  daily_use_user_id_users_id_fk: {
    unreachable: 'it is the caller, who has just been looked up, and accounts are never deleted',
  },
}
