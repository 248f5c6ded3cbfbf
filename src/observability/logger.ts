import { DrizzleQueryError } from 'drizzle-orm'
import type { LogFields, Logger, LogLevel } from '../context.ts'

const logLevels = ['debug', 'info', 'warn', 'error'] as const

/** What may be known of an error. */
export type LoggedError = {
  name: string
  code?: unknown
  constraint?: unknown
  table?: unknown
  routine?: unknown
  stack?: string | undefined
  cause?: LoggedError | undefined
}

/** The calls of a stack, without the message above them. */
const getStackFrames = ({ stack = '', message }: Error) =>
  stack
    .replace(message, '')
    .split('\n')
    .filter((fields) => fields.startsWith('    at '))
    .join('\n')

/** By name too: there may be a second copy of a class. */
const driverErrorNames = new Set(['DrizzleQueryError', 'PostgresError'])

/**
 * What may be known of an error outside the database: not its message, which can hold the statement and the values that
 * were refused, nor the driver's `detail`, `query` and `parameters`.
 */
const describeLoggedError = (error: unknown): LoggedError => {
  if (!(error instanceof Error)) return { name: typeof error }
  const fromDatabase = error instanceof DrizzleQueryError || driverErrorNames.has(error.name)
  const { code, constraint_name, table_name, routine }: Error & { [key: string]: unknown } = Object.assign(error)
  return {
    name: error.name,
    code,
    constraint: constraint_name,
    table: table_name,
    routine,
    stack: fromDatabase ? getStackFrames(error) : error.stack,
    cause: error.cause ? describeLoggedError(error.cause) : undefined,
  }
}

/** How a line is written. `err` is what may be known of the error in it. */
export type LogFormat = (level: LogLevel, fields: LogFields, err: LoggedError | undefined) => string

const formatJsonLine: LogFormat = (level, fields, err) =>
  JSON.stringify({ time: new Date().toISOString(), level, ...fields, err })

/** Writes lines of at least `level` through `write`, as `format` says, with what `commonFields` says of every one. */
export function createLogger(
  format: LogFormat,
  level: LogLevel | 'silent',
  write: (fields: string) => void,
  commonFields?: LogFields,
): Logger {
  const lowestIndex = level === 'silent' ? logLevels.length : logLevels.indexOf(level)
  const createLevel = (name: LogLevel) => {
    if (logLevels.indexOf(name) < lowestIndex) return () => {}
    return (fields: LogFields) => {
      const err = fields.err === undefined ? undefined : describeLoggedError(fields.err)
      write(format(name, commonFields ? { ...commonFields, ...fields } : fields, err))
    }
  }
  return {
    debug: createLevel('debug'),
    info: createLevel('info'),
    warn: createLevel('warn'),
    error: createLevel('error'),
  }
}

/** Writes lines of at least `level` through `write`, each as one JSON object, with what `commonFields` says of every one. */
export const createJsonLogger = (
  level: LogLevel | 'silent',
  write: (fields: string) => void,
  commonFields?: LogFields,
): Logger => createLogger(formatJsonLine, level, write, commonFields)
