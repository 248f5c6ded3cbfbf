import type { MiddlewareHandler } from 'hono'
import type { App } from '../env.ts'
import { newId } from '../id.ts'

/** What every answer carries: JSON is no page, so nothing of it may be framed, sniffed or run. */
const always = {
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'; sandbox",
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
}
/** What the API answers is for the one who asked: no cache keeps it. */
const ofApi = { ...always, 'Cache-Control': 'no-store' }

/**
 * Gives the request its id, the sender's where it is usable, and the answer its id and its headers. A route may set one
 * of them otherwise; {@link answerJson} has set them all.
 */
export const headers: MiddlewareHandler<App> = async (c, next) => {
  const sent = c.req.header('X-Request-Id')
  const requestId = sent !== undefined && /^[A-Za-z0-9._-]{1,128}$/.test(sent) ? sent : newId()
  const own: Record<string, string> = {
    ...(c.req.path.startsWith('/api/') ? ofApi : always),
    'X-Request-Id': requestId,
  }
  if (c.env.secure) own['Strict-Transport-Security'] = 'max-age=31536000; includeSubDomains'
  c.set('requestId', requestId)
  c.set('headers', own)
  await next()
  if (c.get('complete') === c.res) return
  for (const name in own) if (!c.res.headers.has(name)) c.res.headers.set(name, own[name] ?? '')
}
