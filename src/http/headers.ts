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

/** A request's id: the sender's where it is usable, else a new one. */
export const requestIdOf = (sent: string | undefined): string =>
  sent !== undefined && /^[A-Za-z0-9._-]{1,128}$/.test(sent) ? sent : uuid()

/** The headers of every answer to the request with this id; `secure` where it came over https. */
export const headersOf = (requestId: string, secure: boolean): Record<string, string> => ({
  'X-Request-Id': requestId,
  ...always,
  ...(secure && { 'Strict-Transport-Security': 'max-age=31536000; includeSubDomains' }),
})

/** Gives the request its id, and the answer its headers. */
export const headers: MiddlewareHandler<App> = async (c, next) => {
  const requestId = requestIdOf(c.req.header('X-Request-Id'))
  c.set('requestId', requestId)
  for (const [name, value] of Object.entries(headersOf(requestId, c.env.secure))) c.header(name, value)
  await next()
}

/** What the API answers is for the one who asked: no cache keeps it. */
export const noStore: MiddlewareHandler<App> = (c, next) => {
  c.header('Cache-Control', 'no-store')
  return next()
}
