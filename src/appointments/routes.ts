import { type Context, Hono } from 'hono'
import { can, type Guarded } from '../access/can.ts'
import { needDoctor } from '../access/doctor.ts'
import { created, one, page, plain } from '../http/about.ts'
import { answerChanged, answerOne } from '../http/etag.ts'
import { ById } from '../http/fields.ts'
import { answerPage, readPage } from '../http/page.ts'
import { noQuery, valid } from '../http/valid.ts'
import { once } from '../idempotency/once.ts'
import { bookAppointment, changeAppointment, getAppointment, listAppointments } from './queries.ts'
import { Appointment, AppointmentPatch, AppointmentQuery, NewAppointment, SlotQuery, Slots } from './schema.ts'
import { listSlots } from './slot-queries.ts'

/** @throws {Problem} 404 where the caller does not see the appointment in the path */
const seesAppointment = (c: Context<Guarded, '/:id'>) => getAppointment(c.env.db, c.get('caller'), c.req.param('id'))
/** @throws {Problem} 404 where there is no doctor of the id in the path */
const doctorExists = (c: Context<Guarded, '/:id'>) => needDoctor(c.env.db, c.req.param('id'))

export const appointmentRoutes = new Hono()
  .get(
    '/appointments',
    can('appointments:list', {
      id: 'listAppointments',
      summary: 'List appointments',
      description: '`from` and `to` are about when they start.',
      answers: page(Appointment),
    }),
    valid('query', AppointmentQuery),
    async (c) => {
      const query = c.req.valid('query')
      const read = await readPage(c, query, listAppointments(c.env.db, c.get('caller'), query))
      return answerPage(c, read, (row) => row.patientId)
    },
  )
  .post(
    '/appointments',
    can('appointments:book', {
      id: 'bookAppointment',
      summary: 'Book an appointment',
      answers: created(Appointment),
      problems: ['forbidden', 'overlap', 'duration', 'in-the-past', 'outside-hours'],
    }),
    valid('json', NewAppointment),
    async (c) => {
      const request = c.req.valid('json')
      c.set('subject', { patientId: request.patientId })
      return once(c, {
        at: '/api/appointments',
        request,
        create: (db) => bookAppointment(db, c.get('caller'), request),
        read: 'appointments:get',
        see: getAppointment,
        patientOf: ({ patientId }) => patientId,
      })
    },
  )
  .get(
    '/appointments/:id',
    can('appointments:get', { id: 'getAppointment', summary: 'Get an appointment', answers: one(Appointment) }),
    valid('param', ById),
    noQuery(seesAppointment),
    async (c) => {
      const appointment = await getAppointment(c.env.db, c.get('caller'), c.req.valid('param').id)
      c.set('subject', { resourceId: appointment.id, patientId: appointment.patientId })
      return answerOne(c, appointment)
    },
  )
  .patch(
    '/appointments/:id',
    can('appointments:update', {
      id: 'updateAppointment',
      summary: 'Move, close or annotate an appointment',
      description:
        'Only a scheduled one changes. A status cannot change together with times; `completed` and `no_show` not before it begins.',
      answers: one(Appointment),
      problems: ['forbidden', 'conflict', 'overlap', 'duration', 'in-the-past', 'outside-hours'],
    }),
    valid('param', ById),
    valid('json', AppointmentPatch, { first: seesAppointment }),
    async (c) =>
      answerChanged(
        c,
        await changeAppointment(c.env.db, c.get('caller'), c.req.valid('param').id, c.req.valid('json')),
      ),
  )
  .get(
    '/doctors/:id/slots',
    can('slots:list', {
      id: 'listSlots',
      summary: 'List the times that can be booked',
      description: 'Both days are in the doctor’s time zone and included; at most 31 of them.',
      answers: plain(Slots),
    }),
    valid('param', ById),
    valid('query', SlotQuery, { first: doctorExists }),
    async (c) => {
      const results = await listSlots(c.env.db, c.req.valid('param').id, c.req.valid('query'))
      return c.json({ results }, 200)
    },
  )
