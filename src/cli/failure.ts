import { ConfigError } from '../config.ts'
import { causeWithoutQuery } from '../db/failure.ts'
import { reasonOf, unreachable } from '../db/reason.ts'

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
    const reason = reasonOf(error, database)
    if (!reason) return error
    return new CommandError(reason.sentence, { code: reason.code, cause: causeWithoutQuery(error) })
  }

  /** Whether the database went away, or never was there. */
  get unreachable(): boolean {
    return this.code !== undefined && unreachable.test(this.code)
  }
}

/** The one line for an error that was expected, the stack for one that was not. */
export function sentenceOf(error: unknown): string {
  const cause = causeWithoutQuery(error)
  if (cause instanceof CommandError || cause instanceof ConfigError) return cause.message
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
}
