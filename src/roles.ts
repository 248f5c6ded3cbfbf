/** The roles of accounts. The check `users_role_name` of the database names the same. */
export const roles = ['admin', 'doctor', 'patient'] as const

/** The role of an account. */
export type Role = (typeof roles)[number]

/**
 * How far a permission goes; `visibility.ts` says each as SQL.
 * `all`: every row. `visible`: what the caller sees. The others are narrower than what the caller sees,
 * so that going past them is a 403 and not a 404.
 */
export type RowScope =
  | 'all'
  | 'visible'
  | 'createdByCaller'
  | 'createdByOrSelf'
  | 'createdByOrTreatingDoctor'
  | 'ownProfile'
  | 'uploadedByCaller'
