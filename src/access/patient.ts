import { and, eq, sql } from 'drizzle-orm'
import type { Db } from '../db/client.ts'
import { prepared } from '../db/prepared.ts'
import { Problem } from '../http/problem.ts'
import { patients } from '../patients/schema.ts'
import type { Caller } from './can.ts'
import type { Reach } from './permissions.ts'
import { live, permitted, visible } from './scope.ts'

const { placeholder } = sql

const onePatient = prepared((db: Db, { reach }: { reach: Reach }) =>
  db
    .select({ permitted: sql<boolean>`${permitted(reach) ?? sql`true`}` })
    .from(patients)
    .where(and(eq(patients.id, placeholder('id')), live(patients), visible(reach)))
    .prepare('patient_seen'),
)

/** Whether the caller sees the patient, and if so, whether what they ask for reaches that patient. */
export async function seesPatient(db: Db, caller: Caller, id: string): Promise<'unseen' | 'seen' | 'permitted'> {
  const [row] = await onePatient(db, { reach: caller.reach }).execute({ me: caller.id, id })
  if (!row) return 'unseen'
  return row.permitted ? 'permitted' : 'seen'
}

/** @throws {Problem} 404 where the caller does not see the patient, 403 where what they ask for does not reach them */
export async function needPatient(db: Db, caller: Caller, id: string): Promise<void> {
  const sight = await seesPatient(db, caller, id)
  if (sight === 'unseen') throw new Problem('not-found')
  if (sight === 'seen') throw new Problem('forbidden')
}
