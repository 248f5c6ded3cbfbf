import { insertAuditEntry } from '../audit/entry-cte.ts'
import type { Database } from '../context.ts'
import { newId } from '../database/id.ts'
import { nodePasswordHasher } from '../features/auth/passwords.node.ts'
import { firstAccount, users } from '../features/auth/schema.ts'
import type { Role } from '../roles.ts'

type NewCommandAccount = { id?: string; name: string; email: string; password: string; role: Role }

/** What made a record, as its entry in the audit log tells it: a command. */
export const describeCommand = (command: string) => ({
  ip: '',
  userAgent: `npm run ${command}`,
  requestId: command.replace(':', '-'),
  status: 201,
})

/** How a new record's fields stand in its entry. */
const createdChanges = (fields: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(fields).map(([field, after]) => [field, { before: null, after }]))

/** Adds an account and its audit entry, by nobody who is signed in. Returns its id, or undefined where the e-mail address is taken. */
export async function addAccount(
  db: Database,
  command: string,
  account: NewCommandAccount,
): Promise<string | undefined> {
  const { id = newId(), password, ...columns } = account
  const passwordHash = await nodePasswordHasher.hash(password)
  return db.transaction(async (tx) => {
    // From now on no registration is the first one, also not one that is under way.
    await tx.insert(firstAccount).values({ once: true }).onConflictDoNothing()
    const [user] = await tx
      .insert(users)
      .values({ id, passwordHash, ...columns })
      .onConflictDoNothing()
      .returning({ id: users.id })
    if (!user) return undefined
    await insertAuditEntry(tx, {
      ...describeCommand(command),
      userId: null,
      role: null,
      action: 'user.create',
      resource: 'user',
      resourceId: id,
      changes: createdChanges({ ...columns, active: true }),
    })
    return id
  })
}
