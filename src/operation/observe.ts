import type { Context } from 'hono'
import { routePath } from 'hono/route'
import type { App } from '../env.ts'
import { parentOf } from './tracing.ts'

/** What the path of no route matches: the middleware alone. */
const unmatched = /\*$/

/** The methods that are told apart: others are a client's to invent (OpenTelemetry's name for the rest). */
const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/**
 * Follows a request. What is returned tells log, metrics and traces of it once it is answered: the route's pattern and
 * never its path or query, which hold ids and names.
 */
export function observe(c: Context<App>): () => void {
  const start = performance.now()
  const { log, metrics, tracing, secure } = c.env
  const method = methods.has(c.req.method) ? c.req.method : '_OTHER'
  const parent = parentOf(c.req.header('traceparent'))
  const span = tracing?.begin(method, secure ? 'https' : 'http', parent)
  const traceId = span?.traceId ?? parent?.traceId
  if (traceId) c.set('traceId', traceId)
  return () => {
    const took = performance.now() - start
    const route = routePath(c, -1)
    const { status } = c.res
    metrics.answered(method, route, status, took / 1000)
    span?.end(unmatched.test(route) ? undefined : route, status)
    log.info({
      requestId: c.get('requestId'),
      traceId,
      spanId: span?.spanId,
      method: c.req.method,
      route,
      status,
      ms: Math.round(took * 10) / 10,
      userId: c.get('caller')?.id,
    })
  }
}
