import { and, asc, eq, sql } from 'drizzle-orm'
import { getDoctorAccess } from '../../access/doctor-access.ts'
import { assertLiveSession, lockedSessionCte } from '../../access/live-session.ts'
import { getPatientAccess } from '../../access/patient-access.ts'
import { getPermission, roleMay } from '../../access/permissions.ts'
import { canSeeAppointment, canSeePatient, narrowToScope, notDeleted } from '../../access/visibility.ts'
import { auditedDelete } from '../../audit/audited-delete.ts'
import { auditEntryCte, auditParams } from '../../audit/entry-cte.ts'
import type { Config } from '../../config.ts'
import type { Database, DatabaseOrTransaction, RequestContext } from '../../context.ts'
import { newId } from '../../database/id.ts'
import { preparedJsonQuery } from '../../database/query/json-rows.ts'
import { preparedStatement } from '../../database/query/prepared-statement.ts'
import { type IfMatch, ifMatchSql } from '../../database/query/write-sql.ts'
import { Problem } from '../../http/problem.ts'
import { limitExceededProblem } from '../../http/usage-limits.ts'
import type { RowScope } from '../../roles.ts'
import { appointments } from '../appointments/schema.ts'
import { users } from '../auth/schema.ts'
import { doctors } from '../doctors/schema.ts'
import { patients } from '../patients/schema.ts'
import { type FeedSubject, feedColumns, feeds } from './schema.ts'

const { placeholder } = sql
type FeedVariant = { subject: FeedSubject; scope: RowScope }

const feedSubjects = {
  doctor: { table: doctors, subjectColumn: feeds.doctorId, getAccess: getDoctorAccess },
  patient: { table: patients, subjectColumn: feeds.patientId, getAccess: getPatientAccess },
}

/** The doctors or patients that what is asked for reaches. */
const isInScope = ({ subject, scope }: FeedVariant) =>
  and(
    notDeleted(feedSubjects[subject].table),
    subject === 'patient' ? canSeePatient(scope) : undefined,
    narrowToScope(scope),
  )

/** The doctor or patient `id`, where what is asked for reaches them. */
const isRequestedSubject = (variant: FeedVariant) =>
  and(eq(feedSubjects[variant.subject].table.id, placeholder('id')), isInScope(variant)) ?? sql`false`

const isOwnFeed = (subject: FeedSubject) =>
  and(eq(feeds.userId, placeholder('currentUserId')), eq(feedSubjects[subject].subjectColumn, placeholder('id')))

/** The caller has this feed already, or not yet as many of that side as they may. Those that show nothing any more do not count. */
const isWithinFeedLimitSql = (variant: FeedVariant) => {
  const { table, subjectColumn } = feedSubjects[variant.subject]
  return sql`(exists (select from ${feeds} where ${isOwnFeed(variant.subject)}) or ${placeholder('maxFeeds')}::int > (
    select count(*) from ${feeds} join ${table} on ${eq(table.id, subjectColumn)} where ${and(eq(feeds.userId, placeholder('currentUserId')), isInScope(variant))}))`
}

/** A feed never changes: it is its own version. */
const feedEtag = sql<string>`${feeds.id}::text`
const auditedFeedColumns = { doctorId: feeds.doctorId, patientId: feeds.patientId }

const upsertFeedStatement = preparedStatement(
  (db: DatabaseOrTransaction, { limited, ...variant }: FeedVariant & { limited: boolean }) => {
    const { table, subjectColumn } = feedSubjects[variant.subject]
    const column = sql.identifier(subjectColumn.name)
    const made = db.$with('feeds', {}).as(sql`insert into ${feeds} (id, user_id, ${column}, token_hash)
    select ${placeholder('feedId')}::uuid, ${placeholder('currentUserId')}::uuid, ${table.id}, ${placeholder('tokenHash')} from session, ${table} where ${and(isRequestedSubject(variant), limited ? isWithinFeedLimitSql(variant) : undefined)}
    on conflict (user_id, ${column}) do update set id = excluded.id, token_hash = excluded.token_hash, created_at = excluded.created_at returning *`)
    const auditEntry = auditEntryCte(db, {
      resource: 'feed',
      auditedColumns: auditedFeedColumns,
      change: 'created',
      from: sql`${feeds}`,
      resourceId: feeds.id,
      patientId: feeds.patientId,
    })
    return db
      .with(lockedSessionCte(db), made, auditEntry)
      .select({ ...feedColumns, etag: feedEtag })
      .from(feeds)
      .prepare('feed_make')
  },
)

/** Whether what the caller asks for reaches the doctor or patient. @throws {Problem} 404 */
export async function getSubjectAccess(
  db: DatabaseOrTransaction,
  context: RequestContext,
  subject: FeedSubject,
  subjectId: string,
): Promise<boolean> {
  const access = await feedSubjects[subject].getAccess(db, context, subjectId)
  if (access === 'notFound') throw new Problem('not-found')
  return access === 'inScope'
}

const lockFeedsStatement = preparedStatement((db: DatabaseOrTransaction) =>
  db
    .select({ locked: sql<boolean>`true` })
    .from(sql`pg_advisory_xact_lock(hashtextextended(${placeholder('feeds')}, 0))`)
    .prepare('feeds_lock'),
)

/**
 * The caller's one feed of the doctor or patient, in place of an earlier one, whose URL ends.
 * @throws {Problem} 401 where their session has ended, 404, 403, 429 where they have as many feeds of that side as they may
 */
export async function createFeed(
  db: Database,
  config: Config,
  context: RequestContext,
  subject: FeedSubject,
  subjectId: string,
  tokenHash: string,
) {
  const maxFeeds = roleMay(context.principal.role, 'feeds:unlimited') ? 0 : config.CALENDAR_FEEDS_PER_ACCOUNT
  const parameters = {
    ...auditParams(context, 201),
    session: context.principal.sessionId,
    id: subjectId,
    feedId: newId(),
    tokenHash,
    maxFeeds,
  }
  const upsertFeed = async (db: DatabaseOrTransaction) => {
    const [feed] = await upsertFeedStatement(db, { subject, scope: context.scope, limited: maxFeeds > 0 }).execute(
      parameters,
    )
    return feed
  }
  const upsertUnderLock = (tx: DatabaseOrTransaction) =>
    // Sent together, run one after the other: what is counted is counted under the lock.
    Promise.all([
      lockFeedsStatement(tx, {}).execute({ feeds: `feeds ${subject} ${context.principal.id}` }),
      upsertFeed(tx),
    ])
  const feed = maxFeeds > 0 ? (await db.transaction(upsertUnderLock))[1] : await upsertFeed(db)
  if (feed) return feed
  await assertLiveSession(db, context)
  if (!(await getSubjectAccess(db, context, subject, subjectId))) throw new Problem('forbidden')
  const remedy = `End one first, with DELETE /api/${subject}s/{id}/calendar-feed.`
  throw limitExceededProblem(config, 'CALENDAR_FEEDS_PER_ACCOUNT', 3600, remedy)
}

const feedStatement = preparedStatement((db: DatabaseOrTransaction, variant: FeedVariant) =>
  preparedJsonQuery(
    db,
    'feed',
    { jsonColumns: feedColumns, serverColumns: { id: feeds.id, etag: feedEtag } },
    (fields) =>
      db
        .select(fields)
        .from(feeds)
        .where(
          and(
            isOwnFeed(variant.subject),
            sql`exists (select from ${feedSubjects[variant.subject].table} where ${isRequestedSubject(variant)})`,
          ),
        ),
  ),
)

/** The caller's feed, or undefined where what they ask for does not reach the doctor or patient. @throws {Problem} 404 */
export async function findFeed(
  db: DatabaseOrTransaction,
  context: RequestContext,
  subject: FeedSubject,
  subjectId: string,
) {
  const [feed] = await feedStatement(db, { subject, scope: context.scope }).execute({
    currentUserId: context.principal.id,
    id: subjectId,
  })
  if (!feed && (await getSubjectAccess(db, context, subject, subjectId))) throw new Problem('not-found')
  return feed
}

/** @throws {Problem} 404, 403 */
export async function getFeed(
  db: DatabaseOrTransaction,
  context: RequestContext,
  subject: FeedSubject,
  subjectId: string,
) {
  const feed = await findFeed(db, context, subject, subjectId)
  if (!feed) throw new Problem('forbidden')
  return feed
}

const deleteFeedStatement = preparedStatement((db: DatabaseOrTransaction, { subject }: { subject: FeedSubject }) =>
  auditedDelete(db, feeds, {
    resource: 'feed',
    auditedColumns: auditedFeedColumns,
    before: sql`select * from ${feeds} where ${and(isOwnFeed(subject), ifMatchSql(feedEtag))} for update`,
  }),
)

/** Ends the URL of the caller's feed, whether or not they still see whom it is of. @throws {Problem} 404, 403, 412 */
export async function deleteFeed(
  db: DatabaseOrTransaction,
  context: RequestContext,
  subject: FeedSubject,
  subjectId: string,
  ifMatch: IfMatch,
): Promise<void> {
  const parameters = { ...auditParams(context, 204), id: subjectId, ifMatch }
  const deleted = await deleteFeedStatement(db, { subject }).execute(parameters)
  if (deleted.length > 0) return
  await getFeed(db, context, subject, subjectId)
  throw new Problem('precondition-failed')
}

const feedByTokenStatement = preparedStatement((db: DatabaseOrTransaction) =>
  db
    .select({ ...auditedFeedColumns, userId: users.id, role: users.role, active: users.active })
    .from(feeds)
    .innerJoin(users, eq(users.id, feeds.userId))
    .where(eq(feeds.tokenHash, placeholder('tokenHash')))
    .prepare('feed_of'),
)

/** Whose feed a token opens, and of whom, as far as its maker may still see that. */
export async function findFeedByToken(db: DatabaseOrTransaction, tokenHash: string) {
  const [feed] = await feedByTokenStatement(db, {}).execute({ tokenHash })
  return feed
}
/** A feed as its token finds it, with the account that has made it. */
export type FeedByToken = NonNullable<Awaited<ReturnType<typeof findFeedByToken>>>

const feedSubjectStatement = preparedStatement((db: DatabaseOrTransaction, variant: FeedVariant) => {
  const { table } = feedSubjects[variant.subject]
  return db.select({ name: table.name }).from(table).where(isRequestedSubject(variant)).prepare('feed_subject')
})

const feedAppointmentsStatement = preparedStatement(
  (db: DatabaseOrTransaction, { listScope, ...variant }: FeedVariant & { listScope: RowScope }) =>
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
          isRequestedSubject(variant),
          notDeleted(patients),
          canSeeAppointment(listScope),
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
export async function getFeedAppointments(
  db: DatabaseOrTransaction,
  feed: FeedByToken,
  subject: FeedSubject,
  subjectId: string,
) {
  const scope = getPermission(`${subject}Feeds:get`)[feed.role]
  const listScope = getPermission('appointments:list')[feed.role]
  if (!feed.active || feed[`${subject}Id`] !== subjectId || !scope || !listScope) return undefined
  const parameters = { currentUserId: feed.userId, id: subjectId }
  const [[subjectRow], rows] = await Promise.all([
    feedSubjectStatement(db, { subject, scope }).execute(parameters),
    feedAppointmentsStatement(db, { subject, scope, listScope }).execute(parameters),
  ])
  return subjectRow && { name: subjectRow.name, appointments: rows }
}
/** What a feed shows. */
export type FeedContent = NonNullable<Awaited<ReturnType<typeof getFeedAppointments>>>
