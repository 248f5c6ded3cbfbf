import { randomBytes } from 'node:crypto'
import { type Context, Hono } from 'hono'
import { anyone, auditFull, can, type Guarded, sender } from '../access/can.ts'
import { permissions } from '../access/permissions.ts'
import { hashOf } from '../auth/tokens.ts'
import type { App, Asked } from '../env.ts'
import { content, created, deleted, one } from '../http/about.ts'
import { answerOne } from '../http/etag.ts'
import { ById } from '../http/fields.ts'
import { Problem } from '../http/problem.ts'
import { noQuery, valid } from '../http/valid.ts'
import { calendarOf } from './icalendar.ts'
import { deleteFeed, findFeed, getFeed, isReached, makeFeed, openFeed, readFeed } from './queries.ts'
import { Feed, FeedQuery, NewFeed, type Side } from './schema.ts'

type OfOne = Context<Guarded, '/:id'>
/** @throws {Problem} 404 where the caller does not see the doctor or patient in the path */
const sees = (side: Side) => (c: OfOne) => isReached(c.env.db, c.get('caller'), side, c.req.param('id'))
/** @throws {Problem} 404 where the caller has no feed of the doctor or patient in the path */
const hasFeed = (side: Side) => (c: OfOne) => findFeed(c.env.db, c.get('caller'), side, c.req.param('id'))

/**
 * Answers with the new feed and its URL, the one time that it is told. It is a reference (RFC 3986, section 4.2), like
 * every URL of the API: under which name clients reach it, no header says that could be trusted.
 */
async function answerNew(c: Context<Guarded>, side: Side, id: string) {
  const token = randomBytes(32).toString('base64url')
  const { etag, ...feed } = await makeFeed(c.env.db, c.env.config, c.get('caller'), side, id, hashOf(token))
  const path = `/api/${side}s/${id}`
  const headers = { ETag: `"${etag}"`, Location: `${path}/calendar-feed` }
  return c.json({ ...feed, url: `${path}/calendar.ics?token=${token}` }, 201, headers)
}

async function answerFeed(c: Context<Guarded>, side: Side, id: string) {
  const feed = await getFeed(c.env.db, c.get('caller'), side, id)
  c.set('subject', { resourceId: feed.id })
  return answerOne(c, feed)
}

const listing = permissions['appointments:list'].audit
const resource = 'appointment'

/**
 * What the feed of this token shows, to whoever has it, and what is told of that in the trail: whoever made it is the
 * one who looks. A token that opens nothing is nobody's, and like a bad access token it leaves no row.
 * @throws {Problem} 404, whatever the reason
 */
async function openedBy(c: Asked, side: Side, id: string, token: string | undefined) {
  const { db, audit } = c.env
  if (audit.isFull) throw auditFull()
  const feed = await openFeed(db, hashOf(token ?? ''))
  if (!feed) throw new Problem('not-found')
  const actor = { userId: feed.userId, role: feed.role, ...sender(c) }
  const shown = await readFeed(db, feed, side, id)
  if (shown) return { shown, actor }
  const patientId = side === 'patient' ? id : undefined
  audit.add({ ...actor, action: 'auth.denied', resource, resourceId: id, patientId, status: 404 })
  throw new Problem('not-found')
}

const opens = (side: Side) => (c: Context<App, '/:id'>) =>
  openedBy(c, side, c.req.param('id').toLowerCase(), c.req.query('token'))

async function answerCalendar(
  c: Context<App>,
  side: Side,
  id: string,
  { token, detail }: { token: string; detail?: 'full' | undefined },
) {
  const { shown, actor } = await openedBy(c, side, id, token)
  const calendar = calendarOf(side, shown, detail === 'full')
  const patientIds = side === 'patient' ? [id] : [...new Set(shown.appointments.map(({ patient }) => patient.id))]
  c.env.audit.add({ ...actor, action: listing, resource, patientIds, status: 200 })
  return c.body(calendar, 200, { 'Content-Type': 'text/calendar; charset=utf-8' })
}

export const calendarRoutes = new Hono()
  .get(
    '/doctors/:id/calendar-feed',
    can('doctorFeeds:get', {
      id: 'getDoctorFeed',
      summary: 'Get one’s feed of a doctor’s calendar',
      description: 'Never its URL, which is told once.',
      answers: one(Feed),
    }),
    valid('param', ById),
    noQuery(hasFeed('doctor')),
    (c) => answerFeed(c, 'doctor', c.req.valid('param').id),
  )
  .post(
    '/doctors/:id/calendar-feed',
    can('doctorFeeds:create', {
      id: 'createDoctorFeed',
      summary: 'Make a URL to subscribe to a doctor’s calendar',
      description:
        'In place of an earlier one, whose URL ends. The new URL is told once. It ends with its owner’s access, password change, reset or deactivation.',
      answers: created(NewFeed, { keyed: false }),
      limits: ['CALENDAR_FEEDS_PER_ACCOUNT'],
    }),
    valid('param', ById),
    noQuery(sees('doctor')),
    (c) => answerNew(c, 'doctor', c.req.valid('param').id),
  )
  .delete(
    '/doctors/:id/calendar-feed',
    can('doctorFeeds:delete', {
      id: 'deleteDoctorFeed',
      summary: 'End the URL of one’s feed of a doctor’s calendar',
      answers: deleted,
    }),
    valid('param', ById),
    noQuery(hasFeed('doctor')),
    async (c) => {
      await deleteFeed(c.env.db, c.get('caller'), 'doctor', c.req.valid('param').id)
      return c.body(null, 204)
    },
  )
  .get(
    '/doctors/:id/calendar.ics',
    anyone({
      id: 'readDoctorCalendar',
      summary: 'Read a doctor’s calendar',
      description:
        'For calendar programs: the token in the URL is the authorisation. The times alone, unless `detail=full`.',
      answers: content(['text/calendar']),
    }),
    valid('param', ById),
    valid('query', FeedQuery, { first: opens('doctor') }),
    (c) => answerCalendar(c, 'doctor', c.req.valid('param').id, c.req.valid('query')),
  )
  .get(
    '/patients/:id/calendar-feed',
    can('patientFeeds:get', {
      id: 'getPatientFeed',
      summary: 'Get one’s feed of a patient’s calendar',
      description: 'Never its URL, which is told once.',
      answers: one(Feed),
    }),
    valid('param', ById),
    noQuery(hasFeed('patient')),
    (c) => answerFeed(c, 'patient', c.req.valid('param').id),
  )
  .post(
    '/patients/:id/calendar-feed',
    can('patientFeeds:create', {
      id: 'createPatientFeed',
      summary: 'Make a URL to subscribe to a patient’s calendar',
      description:
        'In place of an earlier one, whose URL ends. The new URL is told once. It ends with its owner’s access, password change, reset or deactivation.',
      answers: created(NewFeed, { keyed: false }),
      limits: ['CALENDAR_FEEDS_PER_ACCOUNT'],
    }),
    valid('param', ById),
    noQuery(sees('patient')),
    (c) => answerNew(c, 'patient', c.req.valid('param').id),
  )
  .delete(
    '/patients/:id/calendar-feed',
    can('patientFeeds:delete', {
      id: 'deletePatientFeed',
      summary: 'End the URL of one’s feed of a patient’s calendar',
      answers: deleted,
    }),
    valid('param', ById),
    noQuery(hasFeed('patient')),
    async (c) => {
      await deleteFeed(c.env.db, c.get('caller'), 'patient', c.req.valid('param').id)
      return c.body(null, 204)
    },
  )
  .get(
    '/patients/:id/calendar.ics',
    anyone({
      id: 'readPatientCalendar',
      summary: 'Read a patient’s calendar',
      description:
        'For calendar programs: the token in the URL is the authorisation. Patient and reason are named only with `detail=full`.',
      answers: content(['text/calendar']),
    }),
    valid('param', ById),
    valid('query', FeedQuery, { first: opens('patient') }),
    (c) => answerCalendar(c, 'patient', c.req.valid('param').id, c.req.valid('query')),
  )
