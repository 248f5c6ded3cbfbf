import { sql } from 'drizzle-orm'
import { Hono } from 'hono'
import * as z from 'zod'
import journal from '../../drizzle/meta/_journal.json' with { type: 'json' }
import { anyone } from '../access/can.ts'
import type { Db } from '../db/client.ts'
import type { App } from '../env.ts'
import { plain } from '../http/about.ts'
import { Problem } from '../http/problem.ts'

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

/** The newest migration that this code was written for, as drizzle-kit and the database both know it. */
const newest = Math.max(0, ...journal.entries.map((entry) => entry.when))

const migrated = (db: Db) =>
  db.execute<{ done: boolean }>(sql`select max(created_at) >= ${newest} as done from drizzle.__drizzle_migrations`)

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
      const [row] = await migrated(c.env.db).catch((cause: unknown) => {
        throw new Problem('unavailable', { cause, headers: { 'Retry-After': '1' } })
      })
      if (!row?.done)
        throw new Problem('unavailable', { detail: 'The database is not migrated.', headers: { 'Retry-After': '5' } })
      return c.json({ status: 'ok' }, 200)
    },
  )
