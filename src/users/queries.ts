import { and, count, eq, sql } from 'drizzle-orm'
import type { z } from 'zod'
import type { Caller } from '../access/can.ts'
import { mayUse, rolesWith } from '../access/permissions.ts'
import { recorded } from '../audit/change.ts'
import { signed, trail } from '../audit/record.ts'
import { endAccess, findUser } from '../auth/account-queries.ts'
import { resets, shownUser, users } from '../auth/schema.ts'
import { assertLiveSession, lockedSession } from '../auth/session-queries.ts'
import type { Db, Pool } from '../db/client.ts'
import { violates } from '../db/failure.ts'
import { pages, preparedPage } from '../db/pages.ts'
import { prepared } from '../db/prepared.ts'
import { found } from '../db/search.ts'
import { isStale } from '../http/etag.ts'
import { Problem } from '../http/problem.ts'
import { newId } from '../id.ts'
import type { NewUser, UserPatch, UserQuery } from './schema.ts'

const { placeholder } = sql

/** @throws {Problem} 404 */
export async function getUser(db: Db, id: string) {
  const user = await findUser(db, id)
  if (!user) throw new Problem('not-found')
  return user
}

type Filters = { q: boolean; role: boolean; active: boolean }

const userPages = pages({
  orders: { createdAt: { key: users.createdAt, type: 'timestamptz', id: users.id } },
  where: (filters: Filters) =>
    and(
      filters.q ? found(users.search) : undefined,
      filters.role ? eq(users.role, placeholder('role')) : undefined,
      filters.active ? eq(users.active, placeholder('active')) : undefined,
    ),
  page: (db, parts) =>
    preparedPage(
      db,
      parts.filters.q ? undefined : 'users',
      parts,
      { shown: shownUser, kept: { id: users.id } },
      (fields) => db.select(fields).from(users),
    ),
  count: (db, where) => db.select({ count: count() }).from(users).where(where).prepare('users_count'),
})

type Query = Pick<z.output<typeof UserQuery>, 'q' | 'role' | 'active'>

export const listUsers = (db: Db, { q, role, active }: Query) =>
  userPages(
    db,
    { q: q !== undefined, role: role !== undefined, active: active !== undefined },
    { q, role, active: active === 'true' },
  )

/** The roles that may change accounts. */
const administrators = sql.raw(
  `(${rolesWith('users:update')
    .map((role) => `'${role}'`)
    .join(', ')})`,
)

/**
 * Another active administrator remains. Locking them all, always in the same order, makes two who demote each other at
 * the same moment take turns: the second finds itself the last.
 */
const notTheLast = sql`(${users.role} not in ${administrators} or not ${users.active} or
  (select count(*) from (select from ${users} as admins where admins.role_name in ${administrators} and admins.active order by admins.id for update) as locked) > 1)`

type Shape = { demotes: boolean }
const records = recorded(users, shownUser, {
  resource: 'user',
  changeable: ({ demotes }: Shape) => (demotes ? notTheLast : undefined),
})

/** @throws {Problem} 409 where the address is another account's */
export const createUser = (
  db: Db,
  caller: Caller,
  values: Omit<z.output<typeof NewUser>, 'password'> & { passwordHash: string },
) => records.insert(db, caller, { ...values, id: newId() })

/**
 * @throws {Problem} 404, 409 on the last active administrator, on a taken address and on the role of a doctor's account
 */
export async function changeUser(db: Pool, caller: Caller, id: string, values: z.output<typeof UserPatch>) {
  if (values.active === undefined) return updateUser(db, caller, id, values)
  return db.transaction(async (tx) => {
    const [before] = await tx.select({ active: users.active }).from(users).where(eq(users.id, id)).for('no key update')
    const user = await updateUser(tx, caller, id, values)
    if (before?.active && values.active) return user
    // Also of one that becomes active again: nothing that was begun at the moment of its end comes back.
    const { ip, userAgent, requestId, role } = caller
    await endAccess(tx, id, { userId: caller.id, role, ip, userAgent, requestId }, 200)
    return user
  })
}

async function updateUser(db: Db, caller: Caller, id: string, values: z.output<typeof UserPatch>) {
  const demotes = values.active === false || (values.role !== undefined && !mayUse(values.role, 'users:update'))
  const user = await records.update(db, caller, { demotes }, id, values).catch((error: unknown) => {
    if (!violates(error, 'doctors_account_fkey')) throw error
    throw new Problem('conflict', { detail: 'The account is linked to a doctor: unlink it before its role changes.' })
  })
  if (user) return user
  const { etag } = await getUser(db, id)
  if (isStale(caller.match, etag)) throw new Problem('precondition-failed')
  throw new Problem('conflict', { detail: 'This is the last active administrator.' })
}

const opening = prepared((db: Db) => {
  const reset = db.$with('resets', {}).as(sql`insert into ${resets} (user_id, token_hash, expires_at)
    select ${users.id}, ${placeholder('tokenHash')}, now() + interval '1 hour' from session, ${users} where ${eq(users.id, placeholder('id'))}
    on conflict (user_id) do update set token_hash = excluded.token_hash, expires_at = excluded.expires_at returning *`)
  const recording = trail(db, { resource: 'user', changes: 'created', rows: sql`${resets}`, resourceId: resets.userId })
  return db
    .with(lockedSession(db), reset, recording)
    .select({ expiresAt: resets.expiresAt })
    .from(resets)
    .prepare('reset_open')
})

/** Opens a reset of the account's password, in place of an earlier one. @throws {Problem} 401 where the session has ended, 404 */
export async function openReset(db: Db, caller: Caller, id: string, tokenHash: string) {
  const [reset] = await opening(db, {}).execute({
    ...signed(caller, 201),
    session: caller.session,
    id,
    tokenHash,
  })
  if (reset) return reset
  await assertLiveSession(db, caller)
  throw new Problem('not-found')
}
