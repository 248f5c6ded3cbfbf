import { timingSafeEqual } from 'node:crypto'
import { Hono, type MiddlewareHandler } from 'hono'
import * as z from 'zod'
import { getBearerToken, unauthorizedProblem } from '../access/authenticate.ts'
import { allowAnyone } from '../access/can.ts'
import { hashToken } from '../access/tokens.ts'
import type { AppEnv } from '../context.ts'
import { binaryResponse, jsonResponse } from '../http/operation-description.ts'
import { Problem } from '../http/problem.ts'
import { noQuery } from '../http/validation.ts'
import { assertReady } from './readiness.ts'

const HealthResponse = z.object({ status: z.literal('ok') }).meta({ id: 'Health' })
const IndexResponse = z
  .object({
    name: z.string(),
    documentation: z.string(),
    openapi: z.string(),
    health: z.string(),
    ready: z.string(),
    api: z.string(),
    firstStep: z.string(),
  })
  .meta({ id: 'Index' })

/** What `GET /` answers, and the document's example of it. */
export const apiIndex = {
  name: 'Hospital API',
  documentation: '/docs',
  openapi: '/openapi.json',
  health: '/healthz',
  ready: '/readyz',
  api: '/api',
  firstStep: 'POST /api/auth/register { name, email, password }',
}

/** Compared by hash: how long it takes tells nothing of the token, nor of its length. */
const isSameToken = (a: string, b: string) => timingSafeEqual(Buffer.from(hashToken(a)), Buffer.from(hashToken(b)))

/** Lets through who has the METRICS_TOKEN, where there is one. @throws {Problem} 404 where no figures are kept, 401 */
const requireMetricsToken: MiddlewareHandler<AppEnv> = (c, next) => {
  const { config, metrics } = c.env
  // In production only who has the token learns that there are any.
  const isClosed = config.NODE_ENV === 'production' && !config.METRICS_TOKEN
  if (!metrics.exposition || isClosed) throw new Problem('not-found', { detail: 'No metrics are kept here.' })
  if (config.METRICS_TOKEN && !isSameToken(getBearerToken(c) ?? '', config.METRICS_TOKEN))
    throw unauthorizedProblem('Send the METRICS_TOKEN: Authorization: Bearer and the token.')
  return next()
}

/** `/healthz`, `/readyz`, `/metrics` and `/`: what operators and monitors ask. */
export const observabilityRoutes = new Hono<AppEnv>()
  .get(
    '/',
    allowAnyone({
      operationId: 'getIndex',
      summary: 'Say what this is and where to go',
      responds: jsonResponse(IndexResponse),
    }),
    (c) => c.json(apiIndex, 200),
  )
  .get(
    '/healthz',
    allowAnyone({
      operationId: 'getHealth',
      summary: 'Say whether the process is alive',
      responds: jsonResponse(HealthResponse),
    }),
    (c) => c.json({ status: 'ok' }, 200),
  )
  .get(
    '/readyz',
    allowAnyone({
      operationId: 'getReadiness',
      summary: 'Say whether requests can be sent: the database is there and migrated, the process not stopping',
      responds: jsonResponse(HealthResponse),
    }),
    async (c) => {
      if (c.env.isDraining)
        throw new Problem('unavailable', { detail: 'This process is stopping.', headers: { 'Retry-After': '1' } })
      await assertReady(c.env.db)
      return c.json({ status: 'ok' }, 200)
    },
  )
  .get(
    '/metrics',
    allowAnyone({
      operationId: 'getMetrics',
      summary: 'Get the figures of the service, for Prometheus',
      description:
        'Where METRICS_TOKEN is set, it is needed as `Authorization: Bearer …`; in production without it, and on Workers, there are none: 404.',
      responds: binaryResponse(['text/plain']),
      problems: ['unauthorized', 'not-found'],
    }),
    requireMetricsToken,
    noQuery(),
    async (c) => {
      const figures = (await c.env.metrics.exposition?.()) ?? ''
      return c.body(figures, 200, {
        'Content-Type': 'text/plain; version=0.0.4; charset=utf-8',
        'Cache-Control': 'no-store',
      })
    },
  )
