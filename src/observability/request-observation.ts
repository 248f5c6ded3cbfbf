import type { Context } from 'hono'
import { routePath } from 'hono/route'
import type { AppEnv } from '../context.ts'
import { parseTraceparent } from './tracing.ts'

/** What the path of no route matches: the middleware alone. */
const unmatchedRoutePattern = /\*$/

/** The methods that are told apart: others are a client's to invent (OpenTelemetry's name for the rest). */
const knownMethods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/**
 * Follows a request. What is returned tells log, metrics and traces of it once it is answered: the route's pattern and
 * never its path or query, which hold ids and names.
 */
export function startObservation(c: Context<AppEnv>): () => void {
  const start = performance.now()
  const { logger, metrics, tracing, isHttps } = c.env
  const method = knownMethods.has(c.req.method) ? c.req.method : '_OTHER'
  const traceparent = c.req.header('traceparent')
  const parent = traceparent === undefined ? undefined : parseTraceparent(traceparent)
  const span = tracing?.begin(method, isHttps ? 'https' : 'http', parent)
  const traceId = span?.traceId ?? parent?.traceId
  if (traceId) c.set('traceId', traceId)
  return () => {
    const tookMs = performance.now() - start
    const route = routePath(c, -1)
    const { status } = c.res
    metrics.recordRequest(method, route, status, tookMs / 1000)
    span?.end(unmatchedRoutePattern.test(route) ? undefined : route, status)
    logger.info({
      requestId: c.get('requestId'),
      traceId,
      spanId: span?.spanId,
      method: c.req.method,
      route,
      status,
      ms: Math.round(tookMs * 10) / 10,
      userId: c.get('requestContext')?.principal.id,
    })
  }
}
