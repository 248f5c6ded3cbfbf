import { and, eq } from 'drizzle-orm'
import { addAccount } from '../../cli/accounts.ts'
import { CommandError } from '../../cli/command-error.ts'
import type { Database } from '../../context.ts'
import { users } from './schema.ts'

/** Of all demo accounts. Printed, and for trying out only. */
export const demoPassword = 'try the hospital'

/** An account with which one can sign in to look at made-up data. */
export type DemoAccount = { email: string; role: 'admin' | 'doctor' | 'patient' }

/** The account of a demo person, made where there is none of this address yet. */
export async function ensureDemoAccount(
  db: Database,
  person: { name: string; email: string | null },
  role: DemoAccount['role'],
) {
  if (!person.email) return null
  const { name, email } = person
  const id = await addAccount(db, 'db:seed', { name, email, role, password: demoPassword })
  if (id) return id
  const [there] = await db.select({ id: users.id, role: users.role }).from(users).where(eq(users.email, email))
  return there?.role === role ? there.id : null
}

/** The longest-standing administrator, in whose name the demo is made; `accounts` tells whether there is anyone. */
async function findAdmin(db: Database) {
  const [anyone] = await db.select({ id: users.id }).from(users).limit(1)
  const [admin] = await db
    .select({ id: users.id, email: users.email })
    .from(users)
    .where(and(eq(users.role, 'admin'), eq(users.active, true)))
    .orderBy(users.createdAt, users.id)
    .limit(1)
  return { admin, accounts: anyone !== undefined }
}

const demoAdmin = { name: 'Demo Admin', email: 'admin@example.org' }

/** The administrator in whose name the demo is made; on a database without accounts a demo one. */
export async function findOrCreateAdmin(db: Database, demo: DemoAccount[]): Promise<string> {
  const { admin, accounts } = await findAdmin(db)
  if (!admin && accounts)
    throw new CommandError(
      'There are accounts but no administrator to add the demo people: npm run create-admin first.',
    )
  const id = admin?.id ?? (await ensureDemoAccount(db, demoAdmin, 'admin'))
  if (!id) throw new CommandError('Someone else is filling this database just now. Run the command again.')
  if (!admin || admin.email === demoAdmin.email) demo.push({ email: demoAdmin.email, role: 'admin' })
  return id
}
