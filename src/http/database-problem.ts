import { getErrorOutcome, parseDatabaseError, unwrapDrizzleError } from '../database/errors.ts'
import { invalidFieldProblem, Problem } from './problem.ts'
/**
 * What each constraint of some tables means to whoever runs into it, by its name; where nobody can, since what violates it
 * is refused or cannot be asked for, `unreachable` says why.
 */
export type ConstraintProblems = Record<string, (() => Problem) | { unreachable: string }>

/** The problem that a failure of the database is to the caller, or undefined where it is none of the database. */
export function toDatabaseProblem(error: unknown, constraintProblems: ConstraintProblems = {}): Problem | undefined {
  const failure = parseDatabaseError(error)
  if (!failure) return undefined
  const known = constraintProblems[failure.constraint]
  if (typeof known === 'function') return known()
  const cause = unwrapDrizzleError(error)
  switch (getErrorOutcome(failure.code)) {
    case 'unavailable':
      return new Problem('unavailable', { cause, headers: { 'Retry-After': '1' } })
    case 'conflict':
      return new Problem('conflict', { detail: 'Something that is stored already does not allow this.', cause })
    case 'unstorable':
      return invalidFieldProblem('', 'holds a value that cannot be stored', 'unstorable')
    case 'fault':
      return new Problem('internal', { cause })
  }
}
