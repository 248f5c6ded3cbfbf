import type { MiddlewareHandler } from 'hono'
import { v7 as uuid } from 'uuid'
import type { App } from '../env.ts'

/** What every answer carries: JSON is no page, so nothing of it may be framed, sniffed or run. */
const always = {
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'; sandbox",
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
}

/** Gives the request its id, the sender's where it is usable, and the answer its id and its headers. */
export const headers: MiddlewareHandler<App> = async (c, next) => {
  const sent = c.req.header('X-Request-Id')
  const requestId = sent !== undefined && /^[A-Za-z0-9._-]{1,128}$/.test(sent) ? sent : uuid()
  c.set('requestId', requestId)
  c.header('X-Request-Id', requestId)
  for (const [name, value] of Object.entries(always)) c.header(name, value)
  if (c.env.secure) c.header('Strict-Transport-Security', 'max-age=31536000; includeSubDomains')
  await next()
}

/** What the API answers is for the one who asked: no cache keeps it. */
export const noStore: MiddlewareHandler<App> = (c, next) => {
  c.header('Cache-Control', 'no-store')
  return next()
}
