import { and, eq, gt, isNull, ne, sql } from 'drizzle-orm'
import type { Caller } from '../access/can.ts'
import { recorded } from '../audit/change.ts'
import { type Actor, record } from '../audit/record.ts'
import type { Db, Pool } from '../db/client.ts'
import { prepared } from '../db/prepared.ts'
import { etagOf } from '../db/write.ts'
import { preparedJson } from '../db/written.ts'
import { resets, sessions, shownUser, users } from './schema.ts'

const { placeholder } = sql

const oneUser = prepared((db: Db) =>
  preparedJson(
    db,
    'user',
    { shown: shownUser, kept: { id: users.id, email: users.email, etag: etagOf(users) } },
    (fields) =>
      db
        .select(fields)
        .from(users)
        .where(eq(users.id, placeholder('id'))),
  ),
)

export async function findUser(db: Db, id: string) {
  const [row] = await oneUser(db, {}).execute({ id })
  return row
}

/** What a password of the account is checked against. */
export async function findIdentity(db: Db, id: string) {
  const [row] = await db
    .select({ name: users.name, email: users.email, role: users.role, passwordHash: users.passwordHash })
    .from(users)
    .where(eq(users.id, id))
  return row
}

const own = recorded(users, shownUser, { resource: 'user', changeable: () => eq(users.id, placeholder('me')) })

/** Changes the caller's own name or address. @throws {Problem} 409 where the address is another account's */
export const changeOwn = (db: Db, caller: Caller, values: { name?: string | undefined; email?: string | undefined }) =>
  own.update(db, caller, {}, caller.id, values)

/** Ends sessions after the password they were begun with is gone: a statement of its own, so that it sees those begun meanwhile. */
const endOthers = (db: Db, userId: string, kept?: string) =>
  db
    .update(sessions)
    .set({ revokedAt: sql`now()` })
    .where(
      and(
        eq(sessions.userId, userId),
        isNull(sessions.revokedAt),
        kept === undefined ? undefined : ne(sessions.id, kept),
      ),
    )

/** Sets the caller's password and ends their other sessions. False where the password has changed since it was checked. */
export const changePassword = (db: Pool, caller: Caller, from: string, to: string): Promise<boolean> =>
  db.transaction(async (tx) => {
    const [user] = await tx
      .update(users)
      .set({ passwordHash: to, updatedAt: sql`now()`, version: sql`${users.version} + 1` })
      .where(and(eq(users.id, caller.id), eq(users.passwordHash, from)))
      .returning({ id: users.id })
    if (!user) return false
    await endOthers(tx, caller.id, caller.session)
    const { ip, userAgent, requestId, action } = caller
    await record(tx, {
      userId: caller.id,
      role: caller.role,
      ip,
      userAgent,
      requestId,
      action,
      resource: 'auth',
      resourceId: caller.id,
      status: 204,
    })
    return true
  })

const openReset = (tokenHash: string) => and(eq(resets.tokenHash, tokenHash), gt(resets.expiresAt, sql`now()`))

/** The account whose password the token lets set; undefined where the token is none, used or too old. */
export async function findReset(db: Db, tokenHash: string) {
  const [row] = await db
    .select({ id: users.id, name: users.name, email: users.email })
    .from(resets)
    .innerJoin(users, eq(users.id, resets.userId))
    .where(openReset(tokenHash))
  return row
}

/** Uses the token up, sets the password and ends every session. The id of the account, or undefined where the token is no longer good. */
export const resetPassword = (
  db: Pool,
  sender: Pick<Actor, 'ip' | 'userAgent' | 'requestId'>,
  tokenHash: string,
  passwordHash: string,
) =>
  db.transaction(async (tx) => {
    const [used] = await tx.delete(resets).where(openReset(tokenHash)).returning({ userId: resets.userId })
    if (!used) return undefined
    const [user] = await tx
      .update(users)
      .set({ passwordHash, updatedAt: sql`now()`, version: sql`${users.version} + 1` })
      .where(eq(users.id, used.userId))
      .returning({ id: users.id, role: users.role })
    if (!user) return undefined
    await endOthers(tx, user.id)
    await record(tx, {
      ...sender,
      userId: user.id,
      role: user.role,
      action: 'auth.password_reset',
      resource: 'auth',
      resourceId: user.id,
      status: 204,
    })
    return user.id
  })
