import { DrizzleQueryError } from 'drizzle-orm'

/**
 * What a failure comes to. `unavailable`: the request may be sent again, 503. `conflict`: something else is stored that
 * forbids it, 409. `unstorable`: the caller's value, 400. `fault`: ours, 500.
 */
type ErrorOutcome = 'unavailable' | 'conflict' | 'unstorable' | 'fault'

/**
 * What each SQLSTATE comes to (PostgreSQL, appendix A), by its class or, where one of a class differs, by the whole code.
 * What is in no row is a fault of ours.
 */
export const outcomesBySqlState: Record<string, ErrorOutcome> = {
  // Connections, and who may have one.
  '08': 'unavailable',
  '28': 'unavailable',
  // A plan of before a migration.
  '0A000': 'unavailable',
  '22': 'unstorable',
  // What validation should have kept out: a missing value, a failed check.
  '23': 'fault',
  '23503': 'conflict',
  '23505': 'conflict',
  '23P01': 'conflict',
  '25': 'fault',
  // A standby, a primary that was demoted, a managed server whose disk is full.
  '25006': 'unavailable',
  // A transaction that was aborted, rested too long or took too long.
  '25P02': 'unavailable',
  '25P03': 'unavailable',
  '25P04': 'unavailable',
  // A prepared statement that a pooler has lost, or made twice.
  '26': 'unavailable',
  '42P05': 'unavailable',
  // No such database, schema, table, column, function or type: not migrated, or a migration under way.
  '3D': 'unavailable',
  '3F': 'unavailable',
  '42P01': 'unavailable',
  '42703': 'unavailable',
  '42704': 'unavailable',
  '42883': 'unavailable',
  // Rights that are not granted yet, or no longer.
  '42501': 'unavailable',
  // Serialization and deadlocks, resources, locks, operators, the machine, configuration.
  '40': 'unavailable',
  '53': 'unavailable',
  '55': 'unavailable',
  '57': 'unavailable',
  '58': 'unavailable',
  '72': 'unavailable',
  F0: 'unavailable',
}

/** Codes of the driver, of `database/pool/connection-pool.ts` and of the network that mean that the database is not to be had just now. */
const unavailableCodePattern =
  /^(DEADLINE|POOL_FULL|NOT_COMMITTED|CONNECT\w*|E(CONN\w+|PIPE|HOSTUNREACH|NETUNREACH|TIMEDOUT|AI_AGAIN|NOTFOUND))$/
/** No TLS with the server: its certificate has ended, say, or is of nobody whom Node trusts (Node, `tls`). */
export const tlsErrorCodePattern = /^(\w*CERT\w*|UNABLE_TO_\w+|ERR_(TLS|SSL)_\w+)$/

/** What an error with this code comes to. */
export function getErrorOutcome(code: string): ErrorOutcome {
  if (unavailableCodePattern.test(code) || tlsErrorCodePattern.test(code)) return 'unavailable'
  return outcomesBySqlState[code] ?? outcomesBySqlState[code.slice(0, 2)] ?? 'fault'
}

/** The code and the constraint of an error of the database, the driver or the network. */
export const parseDatabaseError = (error: unknown): { code: string; constraint: string } | undefined => {
  const cause = unwrapDrizzleError(error)
  if (!(cause instanceof Error) || !('code' in cause) || typeof cause.code !== 'string') return undefined
  const constraint =
    'constraint_name' in cause && typeof cause.constraint_name === 'string' ? cause.constraint_name : ''
  return { code: cause.code, constraint }
}

/** Whether an error of the database is that `constraint` forbids it. */
export const violatesConstraint = (error: unknown, constraint: string): boolean =>
  parseDatabaseError(error)?.constraint === constraint

/** Whether PostgreSQL refuses the very values of a row, now and ever (classes 22 and 23). */
export const isRowRejected = (error: unknown): boolean => /^2[23]...$/.test(parseDatabaseError(error)?.code ?? '')

/** Drizzle puts the statement and its parameters into the message: only the driver's own error may be logged. */
export const unwrapDrizzleError = (error: unknown) => (error instanceof DrizzleQueryError ? error.cause : error)
