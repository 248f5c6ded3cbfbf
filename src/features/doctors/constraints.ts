import type { ConstraintProblems } from '../../http/database-problem.ts'
import { invalidFieldProblem, Problem } from '../../http/problem.ts'

/** What the constraints of these tables mean to whoever runs into them. */
export const doctorConstraints: ConstraintProblems = {
  doctors_email_key: () => new Problem('conflict', { detail: 'A doctor with this e-mail address exists already.' }),
  doctors_license_number_key: () =>
    new Problem('conflict', { detail: 'A doctor with this licence number exists already.' }),
  doctors_user_id_key: () => new Problem('conflict', { detail: 'This account is linked to a doctor already.' }),
  doctors_account_fkey: () => invalidFieldProblem('userId', 'must be an account of role doctor'),
  doctors_experience_years: { unreachable: 'validation takes 0 to 80' },
}
