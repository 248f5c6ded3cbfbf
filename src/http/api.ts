import type { MiddlewareHandler } from 'hono'
import { accepts } from 'hono/accepts'
import { cors } from 'hono/cors'
import type { App } from '../env.ts'
import { Problem } from '../http/problem.ts'

const sharing = cors({
  origin: (origin) => origin,
  exposeHeaders: ['ETag', 'Idempotent-Replayed', 'Link', 'Location', 'Retry-After', 'X-Request-Id'],
  maxAge: 600,
})

/** Lets the pages of `CORS_ORIGINS`, and no others, read answers; never with credentials. */
export const shareWithOrigins: MiddlewareHandler<App> = (c, next) =>
  c.env.config.CORS_ORIGINS.includes(c.req.header('Origin') ?? '') ? sharing(c, next) : next()

type Accept = { type: string; q: number }
const json = 'application/json'
/** Ranges that take JSON, the most specific first: that one decides (RFC 9110, section 12.5.1). */
const ranges = [json, 'application/*', '*/*']

const takesJson = (accepted: Accept[]): boolean => {
  const known = ranges.map((range) => accepted.find(({ type }) => type.toLowerCase() === range))
  return (known.find((entry) => entry !== undefined)?.q ?? 0) > 0
}

/** What the API says is JSON, for the one who asked: no cache keeps it. @throws {Problem} 406 */
export const answersJson: MiddlewareHandler<App> = async (c, next) => {
  c.header('Cache-Control', 'no-store')
  const match = (accepted: Accept[]) => (takesJson(accepted) ? json : '')
  if (accepts(c, { header: 'Accept', supports: [json], default: json, match }) === '')
    throw new Problem('not-acceptable')
  await next()
}
