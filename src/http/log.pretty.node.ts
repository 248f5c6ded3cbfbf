import { styleText } from 'node:util'
import { type Described, type Format, formattedLog, type Level, type Line, type Log } from './log.ts'

const colours = { debug: 'gray', info: 'green', warn: 'yellow', error: 'red' } as const satisfies Record<Level, string>

const shown = (value: unknown) => (typeof value === 'object' ? JSON.stringify(value) : String(value))

/** An error with what caused it, each with its stack below. */
const told = ({ name, stack, cause, ...rest }: Described): string => {
  const fields = Object.entries(rest).flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${value}`]))
  const head = [name, ...fields].join(' ')
  const because = cause ? `\n  because of ${told(cause).trimStart()}` : ''
  return `\n  ${head}${stack ? `\n${stack.replace(/^/gm, '    ')}` : ''}${because}`
}

const pretty: Format = (level, line, error) => {
  const { msg, method, route, status, ms, err: _, ...rest } = line
  const time = new Date().toTimeString().slice(0, 8)
  const what = method === undefined ? shown(msg) : `${method} ${route} ${status} in ${ms} ms`
  const more = Object.entries(rest).flatMap(([key, value]) => (value === undefined ? [] : [`${key}=${shown(value)}`]))
  const named = styleText(colours[level], level.padEnd(5))
  const dim = more.length > 0 ? ` ${styleText('dim', more.join(' '))}` : ''
  return `${styleText('dim', time)} ${named} ${msg === undefined && method === undefined ? '' : what}${dim}${error ? told(error) : ''}`
}

/** Writes lines of at least `level` through `write` for people who look at a terminal; in colour where it has them. */
export const prettyLog = (level: Level | 'silent', write: (line: string) => void, always?: Line): Log =>
  formattedLog(pretty, level, write, always)
