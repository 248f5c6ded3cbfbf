import { and, eq, sql } from 'drizzle-orm'
import type { DatabaseOrTransaction, RequestContext } from '../context.ts'
import { preparedStatement } from '../database/query/prepared-statement.ts'
import { patients } from '../features/patients/schema.ts'
import { Problem } from '../http/problem.ts'
import type { RowScope } from '../roles.ts'
import { canSeePatient, narrowToScope, notDeleted } from './visibility.ts'

const { placeholder } = sql

const patientAccessStatement = preparedStatement((db: DatabaseOrTransaction, { scope }: { scope: RowScope }) =>
  db
    .select({ inScope: sql<boolean>`${narrowToScope(scope) ?? sql`true`}` })
    .from(patients)
    .where(and(eq(patients.id, placeholder('id')), notDeleted(patients), canSeePatient(scope)))
    .prepare('patient_seen'),
)

/** Whether the caller sees the patient, and if so, whether what they ask for reaches that patient. */
export async function getPatientAccess(
  db: DatabaseOrTransaction,
  context: RequestContext,
  id: string,
): Promise<'notFound' | 'outOfScope' | 'inScope'> {
  const [row] = await patientAccessStatement(db, { scope: context.scope }).execute({
    currentUserId: context.principal.id,
    id,
  })
  if (!row) return 'notFound'
  return row.inScope ? 'inScope' : 'outOfScope'
}

/** @throws {Problem} 404 where the caller does not see the patient, 403 where what they ask for does not reach them */
export async function assertPatientAccess(
  db: DatabaseOrTransaction,
  context: RequestContext,
  id: string,
): Promise<void> {
  const access = await getPatientAccess(db, context, id)
  if (access === 'notFound') throw new Problem('not-found')
  if (access === 'outOfScope') throw new Problem('forbidden')
}
