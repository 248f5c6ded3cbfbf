import { type Context, Hono } from 'hono'
import { can } from '../../access/can.ts'
import { assertDoctorExists } from '../../access/doctor-access.ts'
import type { GuardedEnv } from '../../context.ts'
import { parseIfMatch } from '../../http/etag.ts'
import { IdParam } from '../../http/field-types.ts'
import { respondWithChanged, respondWithRecord } from '../../http/json-response.ts'
import { createdResponse, jsonResponse, pageResponse, recordResponse } from '../../http/operation-description.ts'
import { fetchPage, respondWithPage } from '../../http/paging.ts'
import { noQuery, valid } from '../../http/validation.ts'
import { withIdempotency } from '../../idempotency/with-idempotency.ts'
import { bookAppointment, changeAppointment, getAppointment, listAppointments } from './queries.ts'
import {
  AppointmentPatch,
  AppointmentQuery,
  AppointmentResponse,
  NewAppointment,
  SlotQuery,
  SlotsResponse,
} from './schema.ts'
import { listSlots } from './slot-queries.ts'

/** @throws {Problem} 404 where the caller does not see the appointment in the path */
const assertAppointmentInPath = (c: Context<GuardedEnv, '/:id'>) =>
  getAppointment(c.env.db, c.get('requestContext'), c.req.param('id'))
/** @throws {Problem} 404 where there is no doctor of the id in the path */
const assertDoctorInPath = (c: Context<GuardedEnv, '/:id'>) => assertDoctorExists(c.env.db, c.req.param('id'))

/** `/api/appointments` and the free slots of doctors. */
export const appointmentRoutes = new Hono()
  .get(
    '/appointments',
    can('appointments:list', {
      operationId: 'listAppointments',
      summary: 'List appointments',
      description: '`from` and `to` are about when they start.',
      responds: pageResponse(AppointmentResponse),
    }),
    valid('query', AppointmentQuery),
    async (c) => {
      const query = c.req.valid('query')
      const read = await fetchPage(c, query, listAppointments(c.env.db, c.get('requestContext'), query))
      return respondWithPage(c, read, (row) => row.patientId)
    },
  )
  .post(
    '/appointments',
    can('appointments:book', {
      operationId: 'bookAppointment',
      summary: 'Book an appointment',
      responds: createdResponse(AppointmentResponse),
      problems: ['forbidden', 'overlap', 'duration', 'in-the-past', 'outside-hours'],
    }),
    valid('json', NewAppointment),
    async (c) => {
      const newAppointment = c.req.valid('json')
      c.set('auditSubject', { patientId: newAppointment.patientId })
      return withIdempotency(c, {
        location: '/api/appointments',
        requestFingerprint: newAppointment,
        create: (db) => bookAppointment(db, c.get('requestContext'), newAppointment),
        readPermission: 'appointments:get',
        assertVisible: getAppointment,
        getPatientId: ({ patientId }) => patientId,
      })
    },
  )
  .get(
    '/appointments/:id',
    can('appointments:get', {
      operationId: 'getAppointment',
      summary: 'Get an appointment',
      responds: recordResponse(AppointmentResponse),
    }),
    valid('param', IdParam),
    noQuery(assertAppointmentInPath),
    async (c) => {
      const appointment = await getAppointment(c.env.db, c.get('requestContext'), c.req.valid('param').id)
      return respondWithRecord(c, appointment, { patientId: appointment.patientId })
    },
  )
  .patch(
    '/appointments/:id',
    can('appointments:update', {
      operationId: 'updateAppointment',
      summary: 'Move, close or annotate an appointment',
      description:
        'Only a scheduled one changes. A status cannot change together with times; `completed` and `no_show` not before it begins.',
      responds: recordResponse(AppointmentResponse),
      problems: ['forbidden', 'conflict', 'overlap', 'duration', 'in-the-past', 'outside-hours'],
    }),
    valid('param', IdParam),
    valid('json', AppointmentPatch, { precheck: assertAppointmentInPath }),
    async (c) =>
      respondWithChanged(
        c,
        await changeAppointment(
          c.env.db,
          c.get('requestContext'),
          c.req.valid('param').id,
          parseIfMatch(c.req),
          c.req.valid('json'),
        ),
      ),
  )
  .get(
    '/doctors/:id/slots',
    can('slots:list', {
      operationId: 'listSlots',
      summary: 'List the times that can be booked',
      description: 'Both days are in the doctor’s time zone and included; at most 31 of them.',
      responds: jsonResponse(SlotsResponse),
    }),
    valid('param', IdParam),
    valid('query', SlotQuery, { precheck: assertDoctorInPath }),
    async (c) => {
      const results = await listSlots(c.env.db, c.req.valid('param').id, c.req.valid('query'))
      return c.json({ results }, 200)
    },
  )
