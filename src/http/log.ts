import { DrizzleQueryError } from 'drizzle-orm'
import type { MiddlewareHandler } from 'hono'
import { routePath } from 'hono/route'
import type { App } from '../env.ts'

const levels = ['debug', 'info', 'warn', 'error'] as const
export type Level = (typeof levels)[number]
type Line = Record<string, unknown>
export type Log = Record<Level, (line: Line) => void>

/**
 * What may be known of an error outside the database: not its message, which can hold the value that was refused, nor
 * the driver's `detail`, `query` and `parameters`.
 */
const describe = (error: unknown): unknown => {
  if (!(error instanceof Error)) return typeof error
  const fromDatabase = error.name === 'PostgresError' || error instanceof DrizzleQueryError
  const { code, constraint_name, table_name, routine }: Error & { [key: string]: unknown } = Object.assign(error)
  const stack = fromDatabase
    ? error.stack
        ?.split('\n')
        .filter((line) => line.startsWith('    at '))
        .join('\n')
    : error.stack
  return {
    name: error.name,
    code,
    constraint: constraint_name,
    table: table_name,
    routine,
    stack,
    cause: error.cause && describe(error.cause),
  }
}

/** Writes lines of at least `level` through `write`, each as one JSON object, with what `always` says of every one. */
export function jsonLog(level: Level | 'silent', write: (line: string) => void, always: Line = {}): Log {
  const lowest = level === 'silent' ? levels.length : levels.indexOf(level)
  const line = (name: Level) => (entry: Line) => {
    if (levels.indexOf(name) < lowest) return
    const { err, ...rest } = entry
    write(
      JSON.stringify({
        time: new Date().toISOString(),
        level: name,
        ...always,
        ...rest,
        ...(err !== undefined && { err: describe(err) }),
      }),
    )
  }
  return { debug: line('debug'), info: line('info'), warn: line('warn'), error: line('error') }
}

/** One line a request. The route's pattern and never its path, whose query may hold a name. */
export const logRequests: MiddlewareHandler<App> = async (c, next) => {
  const start = performance.now()
  await next()
  c.env.log.info({
    requestId: c.var.requestId,
    method: c.req.method,
    route: routePath(c, -1),
    status: c.res.status,
    ms: Math.round((performance.now() - start) * 10) / 10,
    userId: c.var.caller?.id,
  })
}
