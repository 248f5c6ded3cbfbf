import { and, eq, gt, isNull, ne, sql } from 'drizzle-orm'
import { getAuditedColumns } from '../../audit/audited-columns.ts'
import { auditEntryCte, auditParams, insertAuditEntry, toAuditActor } from '../../audit/entry-cte.ts'
import type { AuditActor, ClientInfo, Database, DatabaseOrTransaction, RequestContext } from '../../context.ts'
import { preparedJsonQuery } from '../../database/query/json-rows.ts'
import { preparedStatement } from '../../database/query/prepared-statement.ts'
import { etagSql, type IfMatch, ifMatchSql, toRowJson, updateSql } from '../../database/query/write-sql.ts'
import { toClientNetwork } from '../../http/client-network.ts'
import { feeds } from '../calendar/schema.ts'
import { doctors } from '../doctors/schema.ts'
import { patients } from '../patients/schema.ts'
import { passwordResets, sessions, userColumns, users } from './schema.ts'
import { isKnownNetwork } from './session-queries.ts'

const { placeholder } = sql

/** An account as it is answered. */
export const userJson = { jsonColumns: userColumns, serverColumns: { id: users.id, etag: etagSql(users) } }

const userStatement = preparedStatement((db: DatabaseOrTransaction) =>
  preparedJsonQuery(db, 'user', userJson, (fields) =>
    db
      .select(fields)
      .from(users)
      .where(eq(users.id, placeholder('id'))),
  ),
)

/** The account with this id; undefined where there is none. */
export async function findUser(db: DatabaseOrTransaction, id: string) {
  const [row] = await userStatement(db, {}).execute({ id })
  return row
}

const identityStatement = preparedStatement((db: DatabaseOrTransaction) =>
  db
    .select({ name: users.name, email: users.email, passwordHash: users.passwordHash, isKnownNetwork })
    .from(sql`(values (1)) as one`)
    .innerJoin(users, eq(users.id, placeholder('id')))
    .prepare('identity'),
)

/** What a password of the account is checked against; `isKnownNetwork` where it has signed in before from the network of `ip`. */
export async function findIdentity(db: DatabaseOrTransaction, id: string, ip: string) {
  const [row] = await identityStatement(db, {}).execute({ id, ip, network: toClientNetwork(ip) })
  return row
}

/** The live record of `table` that is linked to the account. */
const linkedIdSql = (table: typeof doctors | typeof patients) =>
  sql<
    string | null
  >`(${sql`select ${table.id} from ${table} where ${table.userId} = ${users.id} and ${table.deletedAt} is null`})`
const [linkedDoctorIdSql, linkedPatientIdSql] = [linkedIdSql(doctors), linkedIdSql(patients)]
const ownAccountColumns = { ...userColumns, doctorId: linkedDoctorIdSql, patientId: linkedPatientIdSql }
/** Changes also with what is linked to the account. */
const ownAccountEtag = sql<string>`concat_ws('.', ${users.version}, ${linkedDoctorIdSql}, ${linkedPatientIdSql})`

const ownAccountJson = {
  jsonColumns: ownAccountColumns,
  serverColumns: { id: users.id, email: users.email, etag: ownAccountEtag },
}

const ownAccountStatement = preparedStatement((db: DatabaseOrTransaction) =>
  preparedJsonQuery(db, 'me', ownAccountJson, (fields) =>
    db
      .select(fields)
      .from(users)
      .where(eq(users.id, placeholder('id'))),
  ),
)

/** The account as its owner is shown it: with the doctor or patient that is them. */
export async function findOwnAccount(db: DatabaseOrTransaction, id: string) {
  const [row] = await ownAccountStatement(db, {}).execute({ id })
  return row
}

const updateOwnAccountStatement = preparedStatement((db: DatabaseOrTransaction) => {
  const isOwnAccount = and(eq(users.id, placeholder('currentUserId')), ifMatchSql(ownAccountEtag))
  const before = db.$with('before', {}).as(sql`select * from ${users} where ${isOwnAccount} for no key update`)
  const updated = db.$with('users', {}).as(updateSql(users))
  const auditEntry = auditEntryCte(db, {
    resource: 'user',
    auditedColumns: getAuditedColumns(users, ownAccountColumns),
    resourceId: users.id,
    change: 'changed',
    from: sql`before, ${users}`,
  })
  return preparedJsonQuery(db, 'me_update', ownAccountJson, (fields) =>
    db.with(before, updated, auditEntry).select(fields).from(users),
  )
})

/** The account is active and its password still the one of this hash. */
const hasPasswordHash = (id: string, passwordHash: string) =>
  and(eq(users.id, id), eq(users.active, true), eq(users.passwordHash, passwordHash))

/**
 * Changes the caller's own name or address: the latter only while their password is the one of `provedHash`, with which
 * they have proved to be who they are. Undefined where `If-Match` names another version.
 * @throws {Problem} 409 where the address is another account's
 */
export async function changeOwnAccount(
  db: Database,
  context: RequestContext,
  ifMatch: IfMatch,
  values: { name?: string | undefined; email?: string | undefined },
  provedHash: string | undefined,
) {
  const parameters = { ...auditParams(context, 200), ifMatch, row: toRowJson(users, values) }
  const update = async (db: DatabaseOrTransaction) => {
    const [updated] = await updateOwnAccountStatement(db, {}).execute(parameters)
    return updated
  }
  if (provedHash === undefined) return update(db)
  return db.transaction(async (tx) => {
    const isProved = hasPasswordHash(context.principal.id, provedHash)
    const [user] = await tx.select({ id: users.id }).from(users).where(isProved).for('no key update')
    return user ? update(tx) : 'passwordChanged'
  })
}

/**
 * Ends whatever still opens the account to who has it in hand: its sessions but the one that is `keptSessionId`, the calendar feeds
 * that it has made, each with its row of the trail, and a reset that is open. After the change that it is for, in statements
 * of its own, so that it sees what was begun meanwhile.
 */
export async function revokeAccess(
  tx: DatabaseOrTransaction,
  userId: string,
  revokedBy: AuditActor,
  status: number,
  keptSessionId?: string,
): Promise<void> {
  // First the sessions: what one of them makes at this moment is made when they have ended, or not at all.
  await tx
    .update(sessions)
    .set({ revokedAt: sql`now()` })
    .where(
      and(
        eq(sessions.userId, userId),
        isNull(sessions.revokedAt),
        keptSessionId === undefined ? undefined : ne(sessions.id, keptSessionId),
      ),
    )
  const endedFeeds = await tx.execute<{ id: string; doctorId: string | null; patientId: string | null }>(sql`
    with voided as (delete from ${passwordResets} where ${eq(passwordResets.userId, userId)}),
      ended as (delete from ${feeds} where ${eq(feeds.userId, userId)} returning *)
    select id, doctor_id as "doctorId", patient_id as "patientId" from ended`)
  for (const { id, doctorId, patientId } of endedFeeds) {
    const subjects = Object.entries({ doctorId, patientId }).filter(([, of]) => of !== null)
    const changes = Object.fromEntries(subjects.map(([name, of]) => [name, { before: of, after: null }]))
    const entry = { ...revokedBy, action: 'feed.delete', resource: 'feed', resourceId: id, status }
    await insertAuditEntry(tx, { ...entry, ...(patientId !== null && { patientId }), changes })
  }
}

/** Sets the caller's password and ends what else opens their account. False where the password has changed since it was checked. */
export const changePassword = (
  db: Database,
  context: RequestContext,
  oldHash: string,
  newHash: string,
): Promise<boolean> =>
  db.transaction(async (tx) => {
    const [user] = await tx
      .update(users)
      .set({ passwordHash: newHash, updatedAt: sql`now()`, version: sql`${users.version} + 1` })
      .where(hasPasswordHash(context.principal.id, oldHash))
      .returning({ id: users.id })
    if (!user) return false
    const { principal, client, action } = context
    const by = toAuditActor(principal, client)
    await revokeAccess(tx, context.principal.id, by, 204, context.principal.sessionId)
    await insertAuditEntry(tx, { ...by, action, resource: 'auth', resourceId: context.principal.id, status: 204 })
    return true
  })

const isOpenReset = (tokenHash: string) =>
  and(eq(passwordResets.tokenHash, tokenHash), gt(passwordResets.expiresAt, sql`now()`))

/** The account whose password the token lets set; undefined where the token is none, used or too old. */
export async function findPasswordReset(db: DatabaseOrTransaction, tokenHash: string) {
  const [row] = await db
    .select({ id: users.id, name: users.name, email: users.email })
    .from(passwordResets)
    .innerJoin(users, eq(users.id, passwordResets.userId))
    .where(isOpenReset(tokenHash))
  return row
}

/** Uses the token up, sets the password and ends all that opens the account. The id of the account, or undefined where the token is no longer good. */
export const resetPassword = (db: Database, client: ClientInfo, tokenHash: string, passwordHash: string) =>
  db.transaction(async (tx) => {
    const [used] = await tx
      .delete(passwordResets)
      .where(isOpenReset(tokenHash))
      .returning({ userId: passwordResets.userId })
    if (!used) return undefined
    const [user] = await tx
      .update(users)
      .set({ passwordHash, updatedAt: sql`now()`, version: sql`${users.version} + 1` })
      .where(eq(users.id, used.userId))
      .returning({ id: users.id, role: users.role })
    if (!user) return undefined
    const by = { ...client, userId: user.id, role: user.role }
    await revokeAccess(tx, user.id, by, 204)
    await insertAuditEntry(tx, {
      ...by,
      action: 'auth.password_reset',
      resource: 'auth',
      resourceId: user.id,
      status: 204,
    })
    return user.id
  })
