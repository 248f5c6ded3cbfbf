import type { Context } from 'hono'
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

/** How a request's id is spelt. */
export const requestId = /^[A-Za-z0-9._-]{1,128}$/

/** A request's id: the sender's where it is usable, else a new one. */
export const requestIdOf = (sent: string | undefined): string =>
  sent !== undefined && requestId.test(sent) ? sent : newId()

/** The headers of every answer to the request with this id; `secure` where it came over https. */
export function headersOf(requestId: string, secure: boolean, path = ''): Record<string, string> {
  const headers = { ...(path.startsWith('/api/') ? ofApi : always), 'X-Request-Id': requestId }
  return secure ? { ...headers, 'Strict-Transport-Security': 'max-age=31536000; includeSubDomains' } : headers
}

/** Gives the request its id, the sender's where it is usable, and decides on the headers of its answer. */
export function beginHeaders(c: Context<App>): void {
  const requestId = requestIdOf(c.req.header('X-Request-Id'))
  c.set('requestId', requestId)
  c.set('headers', headersOf(requestId, c.env.secure, c.req.path))
}

/** Gives the answer those that its route has not set otherwise; `answerJson` has set them all. */
export function endHeaders(c: Context<App>): void {
  if (c.get('complete') === c.res) return
  const own = c.get('headers')
  for (const name in own) if (!c.res.headers.has(name)) c.res.headers.set(name, own[name] ?? '')
}
