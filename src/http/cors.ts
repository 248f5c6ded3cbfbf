import type { MiddlewareHandler } from 'hono'
import { cors } from 'hono/cors'
import type { App } from '../env.ts'

const sharing = cors({
  origin: (origin) => origin,
  exposeHeaders: [
    ...['Accept-Ranges', 'Content-Disposition', 'Content-Range'],
    ...['ETag', 'Idempotent-Replayed', 'Link', 'Location', 'Retry-After', 'X-Request-Id'],
  ],
  maxAge: 600,
})

/** Lets the pages of `CORS_ORIGINS`, and no others, read answers; never with credentials. */
export const shareWithOrigins: MiddlewareHandler<App> = (c, next) => {
  const { CORS_ORIGINS: origins } = c.env.config
  return origins.length > 0 && origins.includes(c.req.header('Origin') ?? '') ? sharing(c, next) : next()
}
