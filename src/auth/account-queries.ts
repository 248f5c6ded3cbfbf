import { and, eq, gt, isNull, ne, sql } from 'drizzle-orm'
import type { Caller } from '../access/can.ts'
import { recorded } from '../audit/change.ts'
import { type Actor, record } from '../audit/record.ts'
import { feeds } from '../calendar/schema.ts'
import type { Db, Pool } from '../db/client.ts'
import { prepared } from '../db/prepared.ts'
import { etagOf } from '../db/write.ts'
import { preparedJson } from '../db/written.ts'
import { doctors } from '../doctors/schema.ts'
import { networkOf } from '../http/network.ts'
import { patients } from '../patients/schema.ts'
import { resets, sessions, shownUser, users } from './schema.ts'
import { isKnownNetwork } from './session-queries.ts'

const { placeholder } = sql

const oneUser = prepared((db: Db) =>
  preparedJson(db, 'user', { shown: shownUser, kept: { id: users.id, etag: etagOf(users) } }, (fields) =>
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

const identity = prepared((db: Db) =>
  db
    .select({ name: users.name, email: users.email, passwordHash: users.passwordHash, known: isKnownNetwork })
    .from(sql`(values (1)) as one`)
    .innerJoin(users, eq(users.id, placeholder('id')))
    .prepare('identity'),
)

/** What a password of the account is checked against; `known` where it has signed in before from the network of `ip`. */
export async function findIdentity(db: Db, id: string, ip: string) {
  const [row] = await identity(db, {}).execute({ id, ip, network: networkOf(ip) })
  return row
}

/** The live record of `table` that is linked to the account. */
const linked = (table: typeof doctors | typeof patients) =>
  sql<
    string | null
  >`(${sql`select ${table.id} from ${table} where ${table.userId} = ${users.id} and ${table.deletedAt} is null`})`
const [doctorId, patientId] = [linked(doctors), linked(patients)]
const shownOwnAccount = { ...shownUser, doctorId, patientId }
/** Changes also with what is linked to the account. */
const ownEtag = sql<string>`concat_ws('.', ${users.version}, ${doctorId}, ${patientId})`

const ownAccount = prepared((db: Db) =>
  preparedJson(
    db,
    'me',
    { shown: shownOwnAccount, kept: { id: users.id, email: users.email, etag: ownEtag } },
    (fields) =>
      db
        .select(fields)
        .from(users)
        .where(eq(users.id, placeholder('id'))),
  ),
)

/** The account as its owner is shown it: with the doctor or patient that is them. */
export async function findOwnAccount(db: Db, id: string) {
  const [row] = await ownAccount(db, {}).execute({ id })
  return row
}

const own = recorded(users, shownOwnAccount, {
  resource: 'user',
  changeable: () => eq(users.id, placeholder('me')),
  version: ownEtag,
})

/** The account is active and its password still the one of this hash. */
const hasPassword = (id: string, hash: string) =>
  and(eq(users.id, id), eq(users.active, true), eq(users.passwordHash, hash))

/**
 * Changes the caller's own name or address: the latter only while their password is the one of `provedHash`, with which
 * they have proved to be who they are. Undefined where `If-Match` names another version.
 * @throws {Problem} 409 where the address is another account's
 */
export async function changeOwn(
  db: Pool,
  caller: Caller,
  values: { name?: string | undefined; email?: string | undefined },
  provedHash: string | undefined,
) {
  if (provedHash === undefined) return own.update(db, caller, {}, caller.id, values)
  return db.transaction(async (tx) => {
    const isProved = hasPassword(caller.id, provedHash)
    const [user] = await tx.select({ id: users.id }).from(users).where(isProved).for('no key update')
    return user ? own.update(tx, caller, {}, caller.id, values) : 'passwordChanged'
  })
}

type RequestedBy = Pick<Actor, 'ip' | 'userAgent' | 'requestId'> & { userId: string | null; role: string | null }

/**
 * Ends whatever still opens the account to who has it in hand: its sessions but the one that is `kept`, the calendar feeds
 * that it has made, each with its row of the trail, and a reset that is open. After the change that it is for, in statements
 * of its own, so that it sees what was begun meanwhile.
 */
export async function endAccess(tx: Db, userId: string, by: RequestedBy, status: number, kept?: string): Promise<void> {
  // First the sessions: what one of them makes at this moment is made when they have ended, or not at all.
  await tx
    .update(sessions)
    .set({ revokedAt: sql`now()` })
    .where(
      and(
        eq(sessions.userId, userId),
        isNull(sessions.revokedAt),
        kept === undefined ? undefined : ne(sessions.id, kept),
      ),
    )
  const ended = await tx.execute<{ id: string; doctorId: string | null; patientId: string | null }>(sql`
    with voided as (delete from ${resets} where ${eq(resets.userId, userId)}),
      ended as (delete from ${feeds} where ${eq(feeds.userId, userId)} returning *)
    select id, doctor_id as "doctorId", patient_id as "patientId" from ended`)
  for (const { id, doctorId, patientId } of ended) {
    const subjects = Object.entries({ doctorId, patientId }).filter(([, of]) => of !== null)
    const changes = Object.fromEntries(subjects.map(([name, of]) => [name, { before: of, after: null }]))
    const entry = { ...by, action: 'feed.delete', resource: 'feed', resourceId: id, status }
    await record(tx, { ...entry, ...(patientId !== null && { patientId }), changes })
  }
}

/** Sets the caller's password and ends what else opens their account. False where the password has changed since it was checked. */
export const changePassword = (db: Pool, caller: Caller, from: string, to: string): Promise<boolean> =>
  db.transaction(async (tx) => {
    const [user] = await tx
      .update(users)
      .set({ passwordHash: to, updatedAt: sql`now()`, version: sql`${users.version} + 1` })
      .where(hasPassword(caller.id, from))
      .returning({ id: users.id })
    if (!user) return false
    const { ip, userAgent, requestId, action } = caller
    const by = { userId: caller.id, role: caller.role, ip, userAgent, requestId }
    await endAccess(tx, caller.id, by, 204, caller.session)
    await record(tx, { ...by, action, resource: 'auth', resourceId: caller.id, status: 204 })
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

/** Uses the token up, sets the password and ends all that opens the account. The id of the account, or undefined where the token is no longer good. */
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
    const by = { ...sender, userId: user.id, role: user.role }
    await endAccess(tx, user.id, by, 204)
    await record(tx, { ...by, action: 'auth.password_reset', resource: 'auth', resourceId: user.id, status: 204 })
    return user.id
  })
