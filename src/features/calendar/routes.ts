import { randomBytes } from 'node:crypto'
import { type Context, Hono } from 'hono'
import { allowAnyone, auditLogFullProblem, can, getClientInfo } from '../../access/can.ts'
import { permissions } from '../../access/permissions.ts'
import { hashToken } from '../../access/tokens.ts'
import type { AppEnv, BaseContext, GuardedEnv } from '../../context.ts'
import { parseIfMatch } from '../../http/etag.ts'
import { IdParam } from '../../http/field-types.ts'
import { respondWithRecord } from '../../http/json-response.ts'
import { binaryResponse, createdResponse, deletedResponse, recordResponse } from '../../http/operation-description.ts'
import { Problem } from '../../http/problem.ts'
import { noQuery, valid } from '../../http/validation.ts'
import { renderCalendar } from './icalendar.ts'
import {
  createFeed,
  deleteFeed,
  findFeed,
  findFeedByToken,
  getFeed,
  getFeedAppointments,
  getSubjectAccess,
} from './queries.ts'
import { FeedQuery, FeedResponse, type FeedSubject, NewFeedResponse } from './schema.ts'

type IdContext = Context<GuardedEnv, '/:id'>
/** @throws {Problem} 404 where the caller does not see the doctor or patient in the path */
const assertSubjectInPath = (subject: FeedSubject) => (c: IdContext) =>
  getSubjectAccess(c.env.db, c.get('requestContext'), subject, c.req.param('id'))
/** @throws {Problem} 404 where the caller has no feed of the doctor or patient in the path */
const assertFeedInPath = (subject: FeedSubject) => (c: IdContext) =>
  findFeed(c.env.db, c.get('requestContext'), subject, c.req.param('id'))

/**
 * Answers with the new feed and its URL, the one time that it is told. It is a reference (RFC 3986, section 4.2), like
 * every URL of the API: under which name clients reach it, no header says that could be trusted.
 */
async function respondWithNewFeed(c: Context<GuardedEnv>, subject: FeedSubject, subjectId: string) {
  const token = randomBytes(32).toString('base64url')
  const { etag, ...feed } = await createFeed(
    c.env.db,
    c.env.config,
    c.get('requestContext'),
    subject,
    subjectId,
    hashToken(token),
  )
  const path = `/api/${subject}s/${subjectId}`
  const headers = { ETag: `"${etag}"`, Location: `${path}/calendar-feed` }
  return c.json({ ...feed, url: `${path}/calendar.ics?token=${token}` }, 201, headers)
}

async function respondWithFeed(c: Context<GuardedEnv>, subject: FeedSubject, subjectId: string) {
  const feed = await getFeed(c.env.db, c.get('requestContext'), subject, subjectId)
  return respondWithRecord(c, feed, { patientId: subject === 'patient' ? subjectId : null })
}

const listAuditAction = permissions['appointments:list'].audit
const auditResource = 'appointment'

/**
 * What the feed of this token shows, to whoever has it, and what is told of that in the trail: whoever made it is the
 * one who looks. A token that opens nothing is nobody's, and like a bad access token it leaves no row.
 * @throws {Problem} 404, whatever the reason
 */
async function openFeed(c: BaseContext, subject: FeedSubject, subjectId: string, token: string | undefined) {
  const { db, auditWriter } = c.env
  if (auditWriter.isFull) throw auditLogFullProblem()
  const feed = await findFeedByToken(db, hashToken(token ?? ''))
  if (!feed) throw new Problem('not-found')
  const actor = { userId: feed.userId, role: feed.role, ...getClientInfo(c) }
  const content = await getFeedAppointments(db, feed, subject, subjectId)
  if (content) return { content, actor }
  const patientId = subject === 'patient' ? subjectId : undefined
  auditWriter.enqueue({
    ...actor,
    action: 'auth.denied',
    resource: auditResource,
    resourceId: subjectId,
    patientId,
    status: 404,
  })
  throw new Problem('not-found')
}

const assertFeedOpens = (subject: FeedSubject) => (c: Context<AppEnv, '/:id'>) =>
  openFeed(c, subject, c.req.param('id').toLowerCase(), c.req.query('token'))

async function respondWithCalendar(
  c: Context<AppEnv>,
  subject: FeedSubject,
  subjectId: string,
  { token, detail }: { token: string; detail?: 'full' | undefined },
) {
  const { content, actor } = await openFeed(c, subject, subjectId, token)
  const calendar = renderCalendar(subject, content, detail === 'full')
  const patientIds =
    subject === 'patient' ? [subjectId] : [...new Set(content.appointments.map(({ patient }) => patient.id))]
  c.env.auditWriter.enqueue({ ...actor, action: listAuditAction, resource: auditResource, patientIds, status: 200 })
  return c.body(calendar, 200, { 'Content-Type': 'text/calendar; charset=utf-8' })
}

const subjectNames = { doctor: 'Doctor', patient: 'Patient' } as const
/** What a calendar shows without `detail=full`. */
const defaultDetails = {
  doctor: 'The times alone, unless `detail=full`.',
  patient: 'Patient and reason are named only with `detail=full`.',
} as const

/** The feeds of doctors, or those of patients, below the path of either. */
const createFeedRoutes = (subject: FeedSubject) =>
  new Hono()
    .get(
      '/:id/calendar-feed',
      can(`${subject}Feeds:get`, {
        operationId: `get${subjectNames[subject]}Feed`,
        summary: `Get one’s feed of a ${subject}’s calendar`,
        description: 'Never its URL, which is told once.',
        responds: recordResponse(FeedResponse),
      }),
      valid('param', IdParam),
      noQuery(assertFeedInPath(subject)),
      (c) => respondWithFeed(c, subject, c.req.valid('param').id),
    )
    .post(
      '/:id/calendar-feed',
      can(`${subject}Feeds:create`, {
        operationId: `create${subjectNames[subject]}Feed`,
        summary: `Make a URL to subscribe to a ${subject}’s calendar`,
        description:
          'In place of an earlier one, whose URL ends. The new URL is told once. It ends with its owner’s access, password change, reset or deactivation.',
        responds: createdResponse(NewFeedResponse, { isIdempotent: false }),
        limits: ['CALENDAR_FEEDS_PER_ACCOUNT'],
      }),
      valid('param', IdParam),
      noQuery(assertSubjectInPath(subject)),
      (c) => respondWithNewFeed(c, subject, c.req.valid('param').id),
    )
    .delete(
      '/:id/calendar-feed',
      can(`${subject}Feeds:delete`, {
        operationId: `delete${subjectNames[subject]}Feed`,
        summary: `End the URL of one’s feed of a ${subject}’s calendar`,
        responds: deletedResponse,
      }),
      valid('param', IdParam),
      noQuery(assertFeedInPath(subject)),
      async (c) => {
        await deleteFeed(c.env.db, c.get('requestContext'), subject, c.req.valid('param').id, parseIfMatch(c.req))
        return c.body(null, 204)
      },
    )
    .get(
      '/:id/calendar.ics',
      allowAnyone({
        operationId: `read${subjectNames[subject]}Calendar`,
        summary: `Read a ${subject}’s calendar`,
        description: `For calendar programs: the token in the URL is the authorisation. ${defaultDetails[subject]}`,
        responds: binaryResponse(['text/calendar']),
      }),
      valid('param', IdParam),
      valid('query', FeedQuery, { precheck: assertFeedOpens(subject) }),
      (c) => respondWithCalendar(c, subject, c.req.valid('param').id, c.req.valid('query')),
    )

/** The calendar feeds of doctors and patients. */
export const calendarRoutes = new Hono()
  .route('/doctors', createFeedRoutes('doctor'))
  .route('/patients', createFeedRoutes('patient'))
