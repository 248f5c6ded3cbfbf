import type { Context } from 'hono'
import type { AppEnv } from '../context.ts'
import { newId } from '../database/id.ts'

/** What every answer carries: JSON is no page, so nothing of it may be framed, sniffed or run. */
const commonHeaders = {
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'; sandbox",
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
}
/** What the API answers is for the one who asked: no cache keeps it. */
const apiHeaders = { ...commonHeaders, 'Cache-Control': 'no-store' }

/** How a request's id is spelt. */
export const requestIdPattern = /^[A-Za-z0-9._-]{1,128}$/

/** A request's id: the sender's where it is usable, else a new one. */
export const chooseRequestId = (clientRequestId: string | undefined): string =>
  clientRequestId !== undefined && requestIdPattern.test(clientRequestId) ? clientRequestId : newId()

/** The headers of every answer to the request with this id; `isHttps` where it came over https. */
export function buildSecurityHeaders(requestId: string, isHttps: boolean, path = ''): Record<string, string> {
  const headers = { ...(path.startsWith('/api/') ? apiHeaders : commonHeaders), 'X-Request-Id': requestId }
  return isHttps ? { ...headers, 'Strict-Transport-Security': 'max-age=31536000; includeSubDomains' } : headers
}

/** Gives the request its id, the sender's where it is usable, and decides on the headers of its answer. */
export function prepareResponseHeaders(c: Context<AppEnv>): void {
  const requestId = chooseRequestId(c.req.header('X-Request-Id'))
  c.set('requestId', requestId)
  c.set('responseHeaders', buildSecurityHeaders(requestId, c.env.isHttps, c.req.path))
}

/** Gives the answer those that its route has not set otherwise; `respondWithJson` has set them all. */
export function applyResponseHeaders(c: Context<AppEnv>): void {
  if (c.get('finishedResponse') === c.res) return
  const own = c.get('responseHeaders')
  for (const name in own) if (!c.res.headers.has(name)) c.res.headers.set(name, own[name] ?? '')
}
