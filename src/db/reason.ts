import postgres from 'postgres'
import { causeWithoutQuery, tlsFailed } from './failure.ts'

/** The codes of a database that went away, or never was there. */
export const unreachable = /^(CONN\w+|E(CONN\w+|PIPE|HOSTUNREACH|NETUNREACH|TIMEDOUT|AI_AGAIN|NOTFOUND)|57P0.|08...)$/

/**
 * Why the database of this `name` did not do what it was asked for, in a sentence for an operator, and the code of that;
 * undefined where the error is none of the database or the network.
 */
export function reasonOf(error: unknown, name: string): { code: string; sentence: string } | undefined {
  const cause = causeWithoutQuery(error)
  if (!(cause instanceof Error) || !('code' in cause) || typeof cause.code !== 'string') return undefined
  const { code, message } = cause
  if (unreachable.test(code)) return { code, sentence: `Cannot reach ${name} (${code}).` }
  if (code === 'DEADLINE') return { code, sentence: `No answer in time from ${name}.` }
  if (tlsFailed.test(code))
    return { code, sentence: `No TLS with ${name} (${code}): is its certificate one that Node trusts?` }
  return cause instanceof postgres.PostgresError ? { code, sentence: refusalOf(code, message, name) } : undefined
}

function refusalOf(code: string, message: string, name: string): string {
  switch (code) {
    case '28000':
    case '28P01':
      return `The user or the password is not right for ${name} (${code}).`
    case '3D000':
      return `There is no such database: ${name} (${code}). Create it first.`
    case '25006':
      return `No writes to ${name} (${code}): it is a standby, or read-only.`
    case '3F000':
    case '42P01':
    case '42703':
      return `The schema of ${name} is not the newest (${code}). Run npm run db:migrate first.`
    case '42501':
      return `The user may not do this to ${name}: ${message} (${code}).`
    default:
      return `Refused by ${name}: ${message} (${code}).`
  }
}

/** What a sentence may call the database at a URL: never the URL, which holds a password. */
export function nameOfDatabase(databaseUrl: string): string {
  const { host, pathname } = new URL(databaseUrl)
  return !host ? 'the database' : `the database${pathname.length > 1 ? ` ${pathname.slice(1)}` : ''} at ${host}`
}
