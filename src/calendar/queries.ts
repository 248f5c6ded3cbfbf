import { and, asc, eq, sql } from 'drizzle-orm'
import type { Caller } from '../access/can.ts'
import { seesDoctor } from '../access/doctor.ts'
import { beyondLimit } from '../access/limits.ts'
import { seesPatient } from '../access/patient.ts'
import { mayUse, permissionOf, type Reach } from '../access/permissions.ts'
import { live, permitted, visible, visibleAppointment } from '../access/scope.ts'
import { appointments } from '../appointments/schema.ts'
import { removing } from '../audit/change.ts'
import { signed, trail } from '../audit/record.ts'
import { users } from '../auth/schema.ts'
import { assertLiveSession, lockedSession } from '../auth/session-queries.ts'
import type { Config } from '../config.ts'
import type { Db, Pool } from '../db/client.ts'
import { prepared } from '../db/prepared.ts'
import { matching } from '../db/write.ts'
import { preparedJson } from '../db/written.ts'
import { doctors } from '../doctors/schema.ts'
import { Problem } from '../http/problem.ts'
import { newId } from '../id.ts'
import { patients } from '../patients/schema.ts'
import { feeds, type Side, shownFeed } from './schema.ts'

const { placeholder } = sql
type Scope = { side: Side; reach: Reach }

const sides = {
  doctor: { table: doctors, of: feeds.doctorId, sees: seesDoctor },
  patient: { table: patients, of: feeds.patientId, sees: seesPatient },
}

/** The doctors or patients that what is asked for reaches. */
const within = ({ side, reach }: Scope) =>
  and(live(sides[side].table), side === 'patient' ? visible(reach) : undefined, permitted(reach))

/** The doctor or patient `id`, where what is asked for reaches them. */
const reached = (scope: Scope) => and(eq(sides[scope.side].table.id, placeholder('id')), within(scope)) ?? sql`false`

const own = (side: Side) => and(eq(feeds.userId, placeholder('me')), eq(sides[side].of, placeholder('id')))

/** The caller has this feed already, or not yet as many of that side as they may. Those that show nothing any more do not count. */
const isWithinLimit = (scope: Scope) => {
  const { table, of } = sides[scope.side]
  return sql`(exists (select from ${feeds} where ${own(scope.side)}) or ${placeholder('maxFeeds')}::int > (
    select count(*) from ${feeds} join ${table} on ${eq(table.id, of)} where ${and(eq(feeds.userId, placeholder('me')), within(scope))}))`
}

/** A feed never changes: it is its own version. */
const etag = sql<string>`${feeds.id}::text`
const told = { doctorId: feeds.doctorId, patientId: feeds.patientId }

const making = prepared((db: Db, { limited, ...scope }: Scope & { limited: boolean }) => {
  const { table, of } = sides[scope.side]
  const column = sql.identifier(of.name)
  const made = db.$with('feeds', {}).as(sql`insert into ${feeds} (id, user_id, ${column}, token_hash)
    select ${placeholder('feed')}::uuid, ${placeholder('me')}::uuid, ${table.id}, ${placeholder('tokenHash')} from session, ${table} where ${and(reached(scope), limited ? isWithinLimit(scope) : undefined)}
    on conflict (user_id, ${column}) do update set id = excluded.id, token_hash = excluded.token_hash, created_at = excluded.created_at returning *`)
  const recording = trail(db, {
    resource: 'feed',
    fields: told,
    changes: 'created',
    rows: sql`${feeds}`,
    resourceId: feeds.id,
    patientId: feeds.patientId,
  })
  return db
    .with(lockedSession(db), made, recording)
    .select({ ...shownFeed, etag })
    .from(feeds)
    .prepare('feed_make')
})

/** Whether what the caller asks for reaches the doctor or patient. @throws {Problem} 404 */
export async function isReached(db: Db, caller: Caller, side: Side, id: string): Promise<boolean> {
  const sight = await sides[side].sees(db, caller, id)
  if (sight === 'unseen') throw new Problem('not-found')
  return sight === 'permitted'
}

const locking = prepared((db: Db) =>
  db
    .select({ locked: sql<boolean>`true` })
    .from(sql`pg_advisory_xact_lock(hashtextextended(${placeholder('feeds')}, 0))`)
    .prepare('feeds_lock'),
)

/**
 * The caller's one feed of the doctor or patient, in place of an earlier one, whose URL ends.
 * @throws {Problem} 401 where their session has ended, 404, 403, 429 where they have as many feeds of that side as they may
 */
export async function makeFeed(db: Pool, config: Config, caller: Caller, side: Side, id: string, tokenHash: string) {
  const maxFeeds = mayUse(caller.role, 'feeds:unlimited') ? 0 : config.CALENDAR_FEEDS_PER_ACCOUNT
  const parameters = { ...signed(caller, 201), session: caller.session, id, feed: newId(), tokenHash, maxFeeds }
  const make = async (db: Db) => {
    const [feed] = await making(db, { side, reach: caller.reach, limited: maxFeeds > 0 }).execute(parameters)
    return feed
  }
  const makeAlone = (tx: Db) =>
    // Sent together, run one after the other: what is counted is counted under the lock.
    Promise.all([locking(tx, {}).execute({ feeds: `feeds ${side} ${caller.id}` }), make(tx)])
  const feed = maxFeeds > 0 ? (await db.transaction(makeAlone))[1] : await make(db)
  if (feed) return feed
  await assertLiveSession(db, caller)
  if (!(await isReached(db, caller, side, id))) throw new Problem('forbidden')
  const remedy = `End one first, with DELETE /api/${side}s/{id}/calendar-feed.`
  throw beyondLimit(config, 'CALENDAR_FEEDS_PER_ACCOUNT', 3600, remedy)
}

const oneFeed = prepared((db: Db, scope: Scope) =>
  preparedJson(db, 'feed', { shown: shownFeed, kept: { id: feeds.id, etag } }, (fields) =>
    db
      .select(fields)
      .from(feeds)
      .where(and(own(scope.side), sql`exists (select from ${sides[scope.side].table} where ${reached(scope)})`)),
  ),
)

/** The caller's feed, or undefined where what they ask for does not reach the doctor or patient. @throws {Problem} 404 */
export async function findFeed(db: Db, caller: Caller, side: Side, id: string) {
  const [feed] = await oneFeed(db, { side, reach: caller.reach }).execute({ me: caller.id, id })
  if (!feed && (await isReached(db, caller, side, id))) throw new Problem('not-found')
  return feed
}

/** @throws {Problem} 404, 403 */
export async function getFeed(db: Db, caller: Caller, side: Side, id: string) {
  const feed = await findFeed(db, caller, side, id)
  if (!feed) throw new Problem('forbidden')
  return feed
}

const remove = removing(feeds, {
  resource: 'feed',
  fields: told,
  from: sql`${feeds}`,
  deletable: ({ side }: { side: Side }) => and(own(side), matching(etag)),
})

/** Ends the URL of the caller's feed, whether or not they still see whom it is of. @throws {Problem} 404, 403, 412 */
export async function deleteFeed(db: Db, caller: Caller, side: Side, id: string): Promise<void> {
  if (await remove(db, caller, { side }, id)) return
  await getFeed(db, caller, side, id)
  throw new Problem('precondition-failed')
}

const feedOf = prepared((db: Db) =>
  db
    .select({ ...told, userId: users.id, role: users.role, active: users.active })
    .from(feeds)
    .innerJoin(users, eq(users.id, feeds.userId))
    .where(eq(feeds.tokenHash, placeholder('tokenHash')))
    .prepare('feed_of'),
)

/** Whose feed a token opens, and of whom, as far as its maker may still see that. */
export async function openFeed(db: Db, tokenHash: string) {
  const [feed] = await feedOf(db, {}).execute({ tokenHash })
  return feed
}
export type OpenFeed = NonNullable<Awaited<ReturnType<typeof openFeed>>>

const subject = prepared((db: Db, scope: Scope) => {
  const { table } = sides[scope.side]
  return db.select({ name: table.name }).from(table).where(reached(scope)).prepare('feed_subject')
})

const subjectAppointments = prepared((db: Db, { listing, ...scope }: Scope & { listing: Reach }) =>
  db
    .select({
      id: appointments.id,
      startsAt: appointments.startsAt,
      endsAt: appointments.endsAt,
      status: appointments.status,
      reason: appointments.reason,
      version: appointments.version,
      updatedAt: appointments.updatedAt,
      patient: { id: patients.id, name: patients.name, updatedAt: patients.updatedAt },
      doctor: { name: doctors.name, specialization: doctors.specialization, updatedAt: doctors.updatedAt },
    })
    .from(appointments)
    .innerJoin(patients, eq(patients.id, appointments.patientId))
    .innerJoin(doctors, eq(doctors.id, appointments.doctorId))
    .where(
      and(
        reached(scope),
        live(patients),
        visibleAppointment(listing),
        sql`${appointments.startsAt} between now() - interval '30 days' and now() + interval '1 year'`,
      ),
    )
    .orderBy(asc(appointments.startsAt), asc(appointments.id))
    .prepare('feed_appointments'),
)

/**
 * What a feed shows now: whom it is of, and their appointments from 30 days ago to a year ahead. Undefined where whoever
 * made it may no longer have it.
 */
export async function readFeed(db: Db, feed: OpenFeed, side: Side, id: string) {
  const reach = permissionOf(`${side}Feeds:get`)[feed.role]
  const listing = permissionOf('appointments:list')[feed.role]
  if (!feed.active || feed[`${side}Id`] !== id || !reach || !listing) return undefined
  const parameters = { me: feed.userId, id }
  const [[of], rows] = await Promise.all([
    subject(db, { side, reach }).execute(parameters),
    subjectAppointments(db, { side, reach, listing }).execute(parameters),
  ])
  return of && { name: of.name, appointments: rows }
}
export type Feed = NonNullable<Awaited<ReturnType<typeof readFeed>>>
