import { DrizzleQueryError } from 'drizzle-orm'
import postgres from 'postgres'
import { ConfigError } from '../config.ts'
import { tlsFailed } from '../db/failure.ts'

/** Ends a command with a sentence for whoever ran it. */
export class CommandError extends Error {
  override name = 'CommandError'
  /** The database's or the system's code for it. */
  readonly code: string | undefined

  constructor(message: string, { code, cause }: { code?: string; cause?: unknown } = {}) {
    super(message, { cause })
    this.code = code
  }

  /** What a failure of the `database` means; any other error as it is. */
  static of(error: unknown, database: string): unknown {
    const cause = causeOf(error)
    const code = codeOf(cause)
    if (!code || !(cause instanceof Error)) return error
    if (!(cause instanceof postgres.PostgresError || unreachable.test(code) || tlsFailed.test(code))) return error
    return new CommandError(meaning(code, cause.message, database), { code, cause })
  }

  /** Whether the database went away, or never was there. */
  get unreachable(): boolean {
    return this.code !== undefined && unreachable.test(this.code)
  }
}

const unreachable = /^(CONN\w+|E(CONN\w+|PIPE|HOSTUNREACH|NETUNREACH|TIMEDOUT|AI_AGAIN|NOTFOUND)|57P0.|08...)$/

/** Drizzle's own message holds the statement and its parameters. */
const causeOf = (error: unknown) => (error instanceof DrizzleQueryError ? error.cause : error)
const codeOf = (error: unknown) =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined

function meaning(code: string, message: string, database: string): string {
  if (unreachable.test(code)) return `Cannot reach ${database} (${code}).`
  if (tlsFailed.test(code)) return `No TLS with ${database} (${code}): is its certificate one that Node trusts?`
  switch (code) {
    case '28000':
    case '28P01':
      return `The user or the password is not right for ${database} (${code}).`
    case '3D000':
      return `There is no such database: ${database} (${code}). Create it first.`
    case '3F000':
    case '42P01':
    case '42703':
      return `The schema of ${database} is not the newest (${code}). Run npm run db:migrate first.`
    case '42501':
      return `The user may not do this to ${database}: ${message} (${code}).`
    default:
      return `Refused by ${database}: ${message} (${code}).`
  }
}

/** The one line for an error that was expected, the stack for one that was not. */
export function sentenceOf(error: unknown): string {
  const cause = causeOf(error)
  if (cause instanceof CommandError || cause instanceof ConfigError) return cause.message
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
}
