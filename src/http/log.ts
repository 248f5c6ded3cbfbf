import { DrizzleQueryError } from 'drizzle-orm'

const levels = ['debug', 'info', 'warn', 'error'] as const
export type Level = (typeof levels)[number]
/** What a line tells. An error stands in `err`. */
export type Line = Record<string, unknown>
export type Log = Record<Level, (line: Line) => void>

/** What may be known of an error. */
export type Described = {
  name: string
  code?: unknown
  constraint?: unknown
  table?: unknown
  routine?: unknown
  stack?: string | undefined
  cause?: Described | undefined
}

/** The calls of a stack, without the message above them. */
const callsOf = ({ stack = '', message }: Error) =>
  stack
    .replace(message, '')
    .split('\n')
    .filter((line) => line.startsWith('    at '))
    .join('\n')

/** By name too: there may be a second copy of a class. */
const fromDriver = new Set(['DrizzleQueryError', 'PostgresError'])

/**
 * What may be known of an error outside the database: not its message, which can hold the statement and the values that
 * were refused, nor the driver's `detail`, `query` and `parameters`.
 */
const describe = (error: unknown): Described => {
  if (!(error instanceof Error)) return { name: typeof error }
  const fromDatabase = error instanceof DrizzleQueryError || fromDriver.has(error.name)
  const { code, constraint_name, table_name, routine }: Error & { [key: string]: unknown } = Object.assign(error)
  return {
    name: error.name,
    code,
    constraint: constraint_name,
    table: table_name,
    routine,
    stack: fromDatabase ? callsOf(error) : error.stack,
    cause: error.cause ? describe(error.cause) : undefined,
  }
}

/** How a line is written. `err` is what may be known of the error in it. */
export type Format = (level: Level, line: Line, err: Described | undefined) => string

const json: Format = (level, line, err) => JSON.stringify({ time: new Date().toISOString(), level, ...line, err })

/** Writes lines of at least `level` through `write`, as `format` says, with what `always` says of every one. */
export function formattedLog(
  format: Format,
  level: Level | 'silent',
  write: (line: string) => void,
  always?: Line,
): Log {
  const lowest = level === 'silent' ? levels.length : levels.indexOf(level)
  const at = (name: Level) => {
    if (levels.indexOf(name) < lowest) return () => {}
    return (line: Line) => {
      const err = line.err === undefined ? undefined : describe(line.err)
      write(format(name, always ? { ...always, ...line } : line, err))
    }
  }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** Writes lines of at least `level` through `write`, each as one JSON object, with what `always` says of every one. */
export const jsonLog = (level: Level | 'silent', write: (line: string) => void, always?: Line): Log =>
  formattedLog(json, level, write, always)
