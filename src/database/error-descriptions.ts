import postgres from 'postgres'
import { parseDatabaseUrl } from '../database-url.ts'
import { tlsErrorCodePattern, unwrapDrizzleError } from './errors.ts'

/** The codes of a database that went away, or never was there. */
export const unreachableCodePattern =
  /^(CONN\w+|E(CONN\w+|PIPE|HOSTUNREACH|NETUNREACH|TIMEDOUT|AI_AGAIN|NOTFOUND)|57P0.|08...)$/

/**
 * Why the database of this `databaseName` did not do what it was asked for, in a sentence for an operator, and the code of that;
 * undefined where the error is none of the database or the network.
 */
export function describeDatabaseError(
  error: unknown,
  databaseName: string,
): { code: string; sentence: string } | undefined {
  const cause = unwrapDrizzleError(error)
  if (!(cause instanceof Error) || !('code' in cause) || typeof cause.code !== 'string') return undefined
  const { code, message } = cause
  if (unreachableCodePattern.test(code)) return { code, sentence: `Cannot reach ${databaseName} (${code}).` }
  if (code === 'DEADLINE') return { code, sentence: `No answer in time from ${databaseName}.` }
  if (tlsErrorCodePattern.test(code))
    return { code, sentence: `No TLS with ${databaseName} (${code}): is its certificate one that Node trusts?` }
  return cause instanceof postgres.PostgresError
    ? { code, sentence: describeServerError(code, message, databaseName) }
    : undefined
}

function describeServerError(code: string, message: string, databaseName: string): string {
  switch (code) {
    case '28000':
    case '28P01':
      return `The user or the password is not right for ${databaseName} (${code}).`
    case '3D000':
      return `There is no such database: ${databaseName} (${code}). Create it first.`
    case '25006':
      return `No writes to ${databaseName} (${code}): it is a standby, or read-only.`
    case '3F000':
    case '42P01':
    case '42703':
      return `The schema of ${databaseName} is not the newest (${code}). Run npm run db:migrate first.`
    case '42501':
      return `The user may not do this to ${databaseName}: ${message} (${code}).`
    default:
      return `Refused by ${databaseName}: ${message} (${code}).`
  }
}

/** What a sentence may call the database at a URL: never the URL, which holds a password. */
export function describeDatabaseUrl(databaseUrl: string): string {
  const parsed = parseDatabaseUrl(databaseUrl)
  if (!parsed) return 'the database'
  const { url, hosts } = parsed
  const at = hosts.length === 1 ? url.host : hosts.map(({ host, port }) => `${host}:${port}`).join(' or ')
  return `the database${url.pathname.length > 1 ? ` ${url.pathname.slice(1)}` : ''} at ${at}`
}
