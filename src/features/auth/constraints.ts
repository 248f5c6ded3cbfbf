import type { ConstraintProblems } from '../../http/database-problem.ts'
import { Problem } from '../../http/problem.ts'

/** What the constraints of these tables mean to whoever runs into them. */
export const accountConstraints: ConstraintProblems = {
  users_email_key: () => new Problem('conflict', { detail: 'An account with this e-mail address exists already.' }),
  users_email_lower: { unreachable: 'validation makes addresses lower case' },
  users_role_name: { unreachable: 'validation takes the roles there are' },
  users_id_role_key: { unreachable: 'the id alone is unique' },
  founding_once: { unreachable: 'the statement inserts true' },
  sessions_user_id_users_id_fk: { unreachable: 'the statement takes the id of an account' },
  resets_user_id_users_id_fk: { unreachable: 'the statement takes the id of an account' },
  resets_token_hash_key: { unreachable: 'tokens are 256 random bits' },
}
