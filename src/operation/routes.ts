import { sql } from 'drizzle-orm'
import { Hono } from 'hono'
import journal from '../../drizzle/meta/_journal.json' with { type: 'json' }
import { anyone } from '../access/can.ts'
import type { Db } from '../db/client.ts'
import type { App } from '../env.ts'
import { Problem } from '../http/problem.ts'

/** The newest migration that this code was written for, as drizzle-kit and the database both know it. */
const newest = Math.max(0, ...journal.entries.map((entry) => entry.when))

const migrated = (db: Db) =>
  db.execute<{ done: boolean }>(sql`select max(created_at) >= ${newest} as done from drizzle.__drizzle_migrations`)

export const operationRoutes = new Hono<App>()
  .get('/', anyone(), (c) =>
    c.json(
      {
        name: 'Hospital API',
        health: '/healthz',
        ready: '/readyz',
        api: '/api',
        firstStep: 'POST /api/auth/register { name, email, password }',
      },
      200,
    ),
  )
  .get('/healthz', anyone(), (c) => c.json({ status: 'ok' }, 200))
  .get('/readyz', anyone(), async (c) => {
    const [row] = await migrated(c.env.db).catch((cause: unknown) => {
      throw new Problem('unavailable', { cause, headers: { 'Retry-After': '1' } })
    })
    if (!row?.done)
      throw new Problem('unavailable', { detail: 'The database is not migrated.', headers: { 'Retry-After': '5' } })
    return c.json({ status: 'ok' }, 200)
  })
