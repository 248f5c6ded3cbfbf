import { and, eq, sql } from 'drizzle-orm'
import type { Db } from '../db/client.ts'
import { prepared } from '../db/prepared.ts'
import { doctors } from '../doctors/schema.ts'
import { Problem } from '../http/problem.ts'
import type { Caller } from './can.ts'
import type { Reach } from './permissions.ts'
import { live, permitted } from './scope.ts'

const oneDoctor = prepared((db: Db) =>
  db
    .select({ id: doctors.id })
    .from(doctors)
    .where(and(eq(doctors.id, sql.placeholder('id')), live(doctors)))
    .prepare('doctor_exists'),
)

/** Whether there is such a doctor: whoever is signed in sees them all. */
export async function isDoctor(db: Db, id: string): Promise<boolean> {
  const rows = await oneDoctor(db, {}).execute({ id })
  return rows.length > 0
}

/** @throws {Problem} 404 where there is no such doctor */
export async function needDoctor(db: Db, id: string): Promise<void> {
  if (!(await isDoctor(db, id))) throw new Problem('not-found')
}

const reachedDoctor = prepared((db: Db, { reach }: { reach: Reach }) =>
  db
    .select({ permitted: sql<boolean>`${permitted(reach) ?? sql`true`}` })
    .from(doctors)
    .where(and(eq(doctors.id, sql.placeholder('id')), live(doctors)))
    .prepare('doctor_reached'),
)

/** Whether there is such a doctor, and if so, whether what the caller asks for reaches them. */
export async function seesDoctor(db: Db, caller: Caller, id: string): Promise<'unseen' | 'seen' | 'permitted'> {
  const [row] = await reachedDoctor(db, { reach: caller.reach }).execute({ me: caller.id, id })
  if (!row) return 'unseen'
  return row.permitted ? 'permitted' : 'seen'
}
