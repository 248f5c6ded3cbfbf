import { and, count, eq, sql } from 'drizzle-orm'
import type { z } from 'zod'
import { assertLiveSession, lockedSessionCte } from '../../access/live-session.ts'
import { roleMay, rolesWith } from '../../access/permissions.ts'
import { getAuditedColumns } from '../../audit/audited-columns.ts'
import { auditEntryCte, auditParams, toAuditActor } from '../../audit/entry-cte.ts'
import type { Database, DatabaseOrTransaction, RequestContext } from '../../context.ts'
import { violatesConstraint } from '../../database/errors.ts'
import { newId } from '../../database/id.ts'
import { preparedJsonQuery } from '../../database/query/json-rows.ts'
import { defineKeysetList, preparedPageQuery } from '../../database/query/keyset-list.ts'
import { preparedStatement } from '../../database/query/prepared-statement.ts'
import { matchesSearch } from '../../database/query/search.ts'
import { type IfMatch, ifMatchSql, insertSql, toRowJson, updateSql } from '../../database/query/write-sql.ts'
import { isStaleIfMatch } from '../../http/etag.ts'
import { Problem } from '../../http/problem.ts'
import { findUser, revokeAccess, userJson } from './account-queries.ts'
import { passwordResets, userColumns, users } from './schema.ts'
import type { NewUser, UserPatch, UserQuery } from './user-schema.ts'

const { placeholder } = sql

/** @throws {Problem} 404 */
export async function getUser(db: DatabaseOrTransaction, id: string) {
  const user = await findUser(db, id)
  if (!user) throw new Problem('not-found')
  return user
}

type UserFilters = { q: boolean; role: boolean; active: boolean }

const userList = defineKeysetList({
  orders: { createdAt: { key: users.createdAt, type: 'timestamptz', id: users.id } },
  where: (filters: UserFilters) =>
    and(
      filters.q ? matchesSearch(users.search) : undefined,
      filters.role ? eq(users.role, placeholder('role')) : undefined,
      filters.active ? eq(users.active, placeholder('active')) : undefined,
    ),
  preparePage: (db, parts) =>
    preparedPageQuery(
      db,
      parts.filters.q ? undefined : 'users',
      parts,
      { jsonColumns: userColumns, serverColumns: { id: users.id } },
      (fields) => db.select(fields).from(users),
    ),
  prepareCount: (db, where) => db.select({ count: count() }).from(users).where(where).prepare('users_count'),
})

type UserListQuery = Pick<z.output<typeof UserQuery>, 'q' | 'role' | 'active'>

/** The accounts that `query` asks for. */
export const listUsers = (db: DatabaseOrTransaction, { q, role, active }: UserListQuery) =>
  userList(
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
const anotherAdminRemains = sql`(${users.role} not in ${administrators} or not ${users.active} or
  (select count(*) from (select from ${users} as admins where admins.role_name in ${administrators} and admins.active order by admins.id for update) as locked) > 1)`

const userAuditOptions = {
  resource: 'user',
  auditedColumns: getAuditedColumns(users, userColumns),
  resourceId: users.id,
}

const insertUserStatement = preparedStatement((db: DatabaseOrTransaction) => {
  const inserted = db.$with('users', {}).as(insertSql(users))
  const auditEntry = auditEntryCte(db, { ...userAuditOptions, change: 'created', from: sql`${users}` })
  return preparedJsonQuery(db, 'user_insert', userJson, (fields) =>
    db.with(inserted, auditEntry).select(fields).from(users),
  )
})

/** @throws {Problem} 409 where the address is another account's */
export async function createUser(
  db: DatabaseOrTransaction,
  context: RequestContext,
  values: Omit<z.output<typeof NewUser>, 'password'> & { passwordHash: string },
) {
  const [inserted] = await insertUserStatement(db, {}).execute({
    ...auditParams(context, 201),
    row: toRowJson(users, { ...values, id: newId() }),
  })
  if (!inserted) throw new Error('an insert returned no row')
  return inserted
}

const updateUserStatement = preparedStatement((db: DatabaseOrTransaction, { isDemotion }: { isDemotion: boolean }) => {
  const isChangeable = and(isDemotion ? anotherAdminRemains : undefined, ifMatchSql(userJson.serverColumns.etag))
  const before = db
    .$with('before', {})
    .as(sql`select * from ${users} where ${and(eq(users.id, placeholder('id')), isChangeable)} for no key update`)
  const updated = db.$with('users', {}).as(updateSql(users))
  const auditEntry = auditEntryCte(db, { ...userAuditOptions, change: 'changed', from: sql`before, ${users}` })
  return preparedJsonQuery(db, 'user_update', userJson, (fields) =>
    db.with(before, updated, auditEntry).select(fields).from(users),
  )
})

/**
 * @throws {Problem} 404, 412, 409 on the last active administrator, on a taken address and on the role of a doctor's account
 */
export async function changeUser(
  db: Database,
  context: RequestContext,
  id: string,
  ifMatch: IfMatch,
  values: z.output<typeof UserPatch>,
) {
  if (values.active === undefined) return updateUser(db, context, id, ifMatch, values)
  return db.transaction(async (tx) => {
    const [before] = await tx.select({ active: users.active }).from(users).where(eq(users.id, id)).for('no key update')
    const user = await updateUser(tx, context, id, ifMatch, values)
    if (before?.active && values.active) return user
    // Also of one that becomes active again: nothing that was begun at the moment of its end comes back.
    const { principal, client } = context
    await revokeAccess(tx, id, toAuditActor(principal, client), 200)
    return user
  })
}

async function updateUser(
  db: DatabaseOrTransaction,
  context: RequestContext,
  id: string,
  ifMatch: IfMatch,
  values: z.output<typeof UserPatch>,
) {
  const isDemotion = values.active === false || (values.role !== undefined && !roleMay(values.role, 'users:update'))
  const parameters = { ...auditParams(context, 200), id, ifMatch, row: toRowJson(users, values) }
  const [user] = await updateUserStatement(db, { isDemotion })
    .execute(parameters)
    .catch((error: unknown) => {
      if (!violatesConstraint(error, 'doctors_account_fkey')) throw error
      throw new Problem('conflict', { detail: 'The account is linked to a doctor: unlink it before its role changes.' })
    })
  if (user) return user
  const { etag } = await getUser(db, id)
  if (isStaleIfMatch(ifMatch, etag)) throw new Problem('precondition-failed')
  throw new Problem('conflict', { detail: 'This is the last active administrator.' })
}

const createResetStatement = preparedStatement((db: DatabaseOrTransaction) => {
  const newReset = db.$with('resets', {}).as(sql`insert into ${passwordResets} (user_id, token_hash, expires_at)
    select ${users.id}, ${placeholder('tokenHash')}, now() + interval '1 hour' from session, ${users} where ${eq(users.id, placeholder('id'))}
    on conflict (user_id) do update set token_hash = excluded.token_hash, expires_at = excluded.expires_at returning *`)
  const auditEntry = auditEntryCte(db, {
    resource: 'user',
    change: 'created',
    from: sql`${passwordResets}`,
    resourceId: passwordResets.userId,
  })
  return db
    .with(lockedSessionCte(db), newReset, auditEntry)
    .select({ expiresAt: passwordResets.expiresAt })
    .from(passwordResets)
    .prepare('reset_open')
})

/** Opens a reset of the account's password, in place of an earlier one. @throws {Problem} 401 where the session has ended, 404 */
export async function createPasswordReset(
  db: DatabaseOrTransaction,
  context: RequestContext,
  id: string,
  tokenHash: string,
) {
  const [reset] = await createResetStatement(db, {}).execute({
    ...auditParams(context, 201),
    session: context.principal.sessionId,
    id,
    tokenHash,
  })
  if (reset) return reset
  await assertLiveSession(db, context)
  throw new Problem('not-found')
}
