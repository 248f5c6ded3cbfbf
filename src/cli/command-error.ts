import { ConfigError } from '../config.ts'
import { describeDatabaseError, unreachableCodePattern } from '../database/error-descriptions.ts'
import { unwrapDrizzleError } from '../database/errors.ts'

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
  static fromDatabaseError(error: unknown, database: string): unknown {
    const reason = describeDatabaseError(error, database)
    if (!reason) return error
    return new CommandError(reason.sentence, { code: reason.code, cause: unwrapDrizzleError(error) })
  }

  /** Whether the database went away, or never was there. */
  get isUnreachable(): boolean {
    return this.code !== undefined && unreachableCodePattern.test(this.code)
  }
}

/** The one line for an error that was expected, the stack for one that was not. */
export function describeCommandError(error: unknown): string {
  const cause = unwrapDrizzleError(error)
  if (cause instanceof CommandError || cause instanceof ConfigError) return cause.message
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
}
