import { DrizzleQueryError } from 'drizzle-orm'
import { invalid, Problem } from '../http/problem.ts'

/** What each constraint means to the one who ran into it. */
const constraints: Record<string, () => Problem> = {
  users_email_key: () => new Problem('conflict', { detail: 'An account with this e-mail address exists already.' }),
  patients_user_id_key: () => new Problem('conflict', { detail: 'This account is linked to a patient already.' }),
  doctors_email_key: () => new Problem('conflict', { detail: 'A doctor with this e-mail address exists already.' }),
  doctors_license_number_key: () =>
    new Problem('conflict', { detail: 'A doctor with this licence number exists already.' }),
  doctors_user_id_key: () => new Problem('conflict', { detail: 'This account is linked to a doctor already.' }),
  mappings_patient_id_doctor_id_key: () => new Problem('conflict', { detail: 'This patient has this doctor already.' }),
  appointments_doctor_overlap: () =>
    new Problem('overlap', { detail: 'The doctor has another appointment at this time.' }),
  appointments_patient_overlap: () =>
    new Problem('overlap', { detail: 'The patient has another appointment at this time.' }),
  appointments_to_come: () =>
    new Problem('conflict', { detail: 'There are appointments to come: cancel or move them first.' }),
  doctors_account_fkey: () => invalid('userId', 'must be an account of role doctor'),
}

const unavailable = (cause: unknown) => new Problem('unavailable', { cause, headers: { 'Retry-After': '1' } })

/** SQLSTATE classes and codes, and those of the driver and of `connections.ts`, that mean "not now" and not "never". */
const passing =
  /^(08...|53...|25006|25P03|26000|57P0.|57014|40001|40P01|3D000|42P01|42P05|42501|58...|DEADLINE|POOL_FULL|NOT_COMMITTED|CONNECT\w*|E(CONN\w+|PIPE|HOSTUNREACH|TIMEDOUT|AI_AGAIN|NOTFOUND))$/
/** The server does not let us in: its role or password was changed. */
const shutOut = /^28...$/
/** No TLS with the server: its certificate has ended, say, or is of nobody whom Node trusts (Node, `tls`). */
export const tlsFailed = /^(\w*CERT\w*|UNABLE_TO_\w+|ERR_(TLS|SSL)_\w+)$/
/** Data that a column cannot hold (PostgreSQL, appendix A, class 22) and that validation let through. */
const unstorable = /^22...$/

const codeOf = (error: unknown): { code: string; constraint?: string } | undefined => {
  const cause = error instanceof DrizzleQueryError ? error.cause : error
  if (!(cause instanceof Error) || !('code' in cause) || typeof cause.code !== 'string') return undefined
  const constraint =
    'constraint_name' in cause && typeof cause.constraint_name === 'string' ? cause.constraint_name : ''
  return { code: cause.code, constraint }
}

/** Whether an error of the database is that `constraint` forbids it. */
export const violates = (error: unknown, constraint: string): boolean => codeOf(error)?.constraint === constraint

/** The problem that a failure of the database is to the caller, or undefined where it is a fault of ours. */
export function databaseProblem(error: unknown): Problem | undefined {
  const failure = codeOf(error)
  if (!failure) return undefined
  if (failure.constraint && constraints[failure.constraint]) return constraints[failure.constraint]?.()
  if ([passing, shutOut, tlsFailed].some((codes) => codes.test(failure.code)))
    return unavailable(causeWithoutQuery(error))
  if (unstorable.test(failure.code)) return invalid('', 'holds a value that cannot be stored', 'unstorable')
  return new Problem('internal', { cause: causeWithoutQuery(error) })
}

/** Drizzle puts the statement and its parameters into the message: only the driver's own error may be logged. */
const causeWithoutQuery = (error: unknown) => (error instanceof DrizzleQueryError ? error.cause : error)
