import { timingSafeEqual } from 'node:crypto'
import { Hono, type MiddlewareHandler } from 'hono'
import * as z from 'zod'
import { anyone } from '../access/can.ts'
import { bearer, unauthorized } from '../auth/authenticate.ts'
import { hashOf } from '../auth/tokens.ts'
import type { App } from '../env.ts'
import { content, plain } from '../http/about.ts'
import { Problem } from '../http/problem.ts'
import { noQuery } from '../http/valid.ts'
import { assertReady } from './readiness.ts'

const Health = z.object({ status: z.literal('ok') }).meta({ id: 'Health' })
const Index = z
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

/** Compared by hash: how long it takes tells nothing of the token, nor of its length. */
const isSame = (a: string, b: string) => timingSafeEqual(Buffer.from(hashOf(a)), Buffer.from(hashOf(b)))

/** Lets through who has the METRICS_TOKEN, where there is one. @throws {Problem} 404 where no figures are kept, 401 */
const needsMetricsToken: MiddlewareHandler<App> = (c, next) => {
  const { config, metrics } = c.env
  // In production only who has the token learns that there are any.
  const isClosed = config.NODE_ENV === 'production' && !config.METRICS_TOKEN
  if (!metrics.exposition || isClosed) throw new Problem('not-found', { detail: 'No metrics are kept here.' })
  if (config.METRICS_TOKEN && !isSame(bearer(c) ?? '', config.METRICS_TOKEN))
    throw unauthorized('Send the METRICS_TOKEN: Authorization: Bearer and the token.')
  return next()
}

export const operationRoutes = new Hono<App>()
  .get('/', anyone({ id: 'getIndex', summary: 'Say what this is and where to go', answers: plain(Index) }), (c) =>
    c.json(
      {
        name: 'Hospital API',
        documentation: '/docs',
        openapi: '/openapi.json',
        health: '/healthz',
        ready: '/readyz',
        api: '/api',
        firstStep: 'POST /api/auth/register { name, email, password }',
      },
      200,
    ),
  )
  .get(
    '/healthz',
    anyone({ id: 'getHealth', summary: 'Say whether the process is alive', answers: plain(Health) }),
    (c) => c.json({ status: 'ok' }, 200),
  )
  .get(
    '/readyz',
    anyone({
      id: 'getReadiness',
      summary: 'Say whether requests can be sent: the database is there and migrated, the process not stopping',
      answers: plain(Health),
    }),
    async (c) => {
      if (c.env.draining)
        throw new Problem('unavailable', { detail: 'This process is stopping.', headers: { 'Retry-After': '1' } })
      await assertReady(c.env.db)
      return c.json({ status: 'ok' }, 200)
    },
  )
  .get(
    '/metrics',
    anyone({
      id: 'getMetrics',
      summary: 'Get the figures of the service, for Prometheus',
      description:
        'Where METRICS_TOKEN is set, it is needed as `Authorization: Bearer …`; in production without it, and on Workers, there are none: 404.',
      answers: content(['text/plain']),
      problems: ['unauthorized', 'not-found'],
    }),
    needsMetricsToken,
    noQuery(),
    async (c) => {
      const figures = (await c.env.metrics.exposition?.()) ?? ''
      return c.body(figures, 200, {
        'Content-Type': 'text/plain; version=0.0.4; charset=utf-8',
        'Cache-Control': 'no-store',
      })
    },
  )
