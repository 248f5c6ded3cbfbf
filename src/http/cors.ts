import type { MiddlewareHandler } from 'hono'
import { cors } from 'hono/cors'
import type { AppEnv } from '../context.ts'

const corsMiddleware = cors({
  origin: (origin) => origin,
  allowMethods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
  exposeHeaders: [
    ...['Accept-Ranges', 'Content-Disposition', 'Content-Range'],
    ...['ETag', 'Idempotent-Replayed', 'Link', 'Location', 'Retry-After', 'X-Request-Id'],
  ],
  maxAge: 600,
})

/** Lets the pages of `CORS_ORIGINS`, and no others, read answers; never with credentials. */
export const applyCors: MiddlewareHandler<AppEnv> = (c, next) => {
  const { CORS_ORIGINS } = c.env.config
  if (CORS_ORIGINS.length === 0) return next()
  if (CORS_ORIGINS.includes(c.req.header('Origin') ?? '')) return corsMiddleware(c, next)
  // So that no cache gives this answer to a page that may read it.
  return next().then(() => c.header('Vary', 'Origin', { append: true }))
}
