import { styleText } from 'node:util'
import type { LogFields, Logger, LogLevel } from '../context.ts'
import { createLogger, type LogFormat, type LoggedError } from './logger.ts'

const levelColours = { debug: 'gray', info: 'green', warn: 'yellow', error: 'red' } as const satisfies Record<
  LogLevel,
  string
>

const formatLogValue = (value: unknown) => (typeof value === 'object' ? JSON.stringify(value) : String(value))

/** An error with what caused it, each with its stack below. */
const formatLoggedError = ({ name, stack, cause, ...rest }: LoggedError): string => {
  const errorFields = Object.entries(rest).flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${value}`]))
  const head = [name, ...errorFields].join(' ')
  const because = cause ? `\n  because of ${formatLoggedError(cause).trimStart()}` : ''
  return `\n  ${head}${stack ? `\n${stack.replace(/^/gm, '    ')}` : ''}${because}`
}

const formatPretty: LogFormat = (level, line, error) => {
  const { msg, method, route, status, ms, err: _, ...rest } = line
  const time = new Date().toTimeString().slice(0, 8)
  const what = method === undefined ? formatLogValue(msg) : `${method} ${route} ${status} in ${ms} ms`
  const more = Object.entries(rest).flatMap(([key, value]) =>
    value === undefined ? [] : [`${key}=${formatLogValue(value)}`],
  )
  const named = styleText(levelColours[level], level.padEnd(5))
  const dim = more.length > 0 ? ` ${styleText('dim', more.join(' '))}` : ''
  return `${styleText('dim', time)} ${named} ${msg === undefined && method === undefined ? '' : what}${dim}${error ? formatLoggedError(error) : ''}`
}

/** Writes lines of at least `level` through `write` for people who look at a terminal; in colour where it has them. */
export const createPrettyLogger = (
  level: LogLevel | 'silent',
  write: (line: string) => void,
  commonFields?: LogFields,
): Logger => createLogger(formatPretty, level, write, commonFields)
