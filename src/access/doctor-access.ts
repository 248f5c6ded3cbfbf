import { and, eq, sql } from 'drizzle-orm'
import type { DatabaseOrTransaction, RequestContext } from '../context.ts'
import { preparedStatement } from '../database/query/prepared-statement.ts'
import { doctors } from '../features/doctors/schema.ts'
import { Problem } from '../http/problem.ts'
import type { RowScope } from '../roles.ts'
import { narrowToScope, notDeleted } from './visibility.ts'

const doctorExistsStatement = preparedStatement((db: DatabaseOrTransaction) =>
  db
    .select({ id: doctors.id })
    .from(doctors)
    .where(and(eq(doctors.id, sql.placeholder('id')), notDeleted(doctors)))
    .prepare('doctor_exists'),
)

/** Whether there is such a doctor: whoever is signed in sees them all. */
export async function doctorExists(db: DatabaseOrTransaction, id: string): Promise<boolean> {
  const rows = await doctorExistsStatement(db, {}).execute({ id })
  return rows.length > 0
}

/** @throws {Problem} 404 where there is no such doctor */
export async function assertDoctorExists(db: DatabaseOrTransaction, id: string): Promise<void> {
  if (!(await doctorExists(db, id))) throw new Problem('not-found')
}

const doctorAccessStatement = preparedStatement((db: DatabaseOrTransaction, { scope }: { scope: RowScope }) =>
  db
    .select({ inScope: sql<boolean>`${narrowToScope(scope) ?? sql`true`}` })
    .from(doctors)
    .where(and(eq(doctors.id, sql.placeholder('id')), notDeleted(doctors)))
    .prepare('doctor_reached'),
)

/** Whether there is such a doctor, and if so, whether what the caller asks for reaches them. */
export async function getDoctorAccess(
  db: DatabaseOrTransaction,
  context: RequestContext,
  id: string,
): Promise<'notFound' | 'outOfScope' | 'inScope'> {
  const [row] = await doctorAccessStatement(db, { scope: context.scope }).execute({
    currentUserId: context.principal.id,
    id,
  })
  if (!row) return 'notFound'
  return row.inScope ? 'inScope' : 'outOfScope'
}
