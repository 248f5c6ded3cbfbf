import { type Context, Hono } from 'hono'
import { can, type Guarded } from '../access/can.ts'
import { mayUse } from '../access/permissions.ts'
import { created, deleted, one, page } from '../http/about.ts'
import { answerChanged, answerOne } from '../http/etag.ts'
import { ById } from '../http/fields.ts'
import { answerPage, readPage } from '../http/page.ts'
import { noQuery, valid } from '../http/valid.ts'
import { once } from '../idempotency/once.ts'
import { changeDoctor, createDoctor, deleteDoctor, getDoctor, listDoctors, restoreDoctor } from './queries.ts'
import { Doctor, DoctorPatch, DoctorQuery, WholeDoctor } from './schema.ts'

/** @throws {Problem} 404 where there is no doctor of the id in the path */
const exists = (c: Context<Guarded, '/:id'>) => getDoctor(c.env.db, c.req.param('id'))

export const doctorRoutes = new Hono()
  .get(
    '/',
    can('doctors:list', { id: 'listDoctors', summary: 'List doctors', answers: page(Doctor) }),
    valid('query', DoctorQuery),
    async (c) => {
      const query = c.req.valid('query')
      return answerPage(c, await readPage(c, query, listDoctors(c.env.db, query)))
    },
  )
  .post(
    '/',
    can('doctors:create', {
      id: 'createDoctor',
      summary: 'Add a doctor',
      answers: created(Doctor),
      problems: ['conflict'],
    }),
    valid('json', WholeDoctor),
    async (c) => {
      const request = c.req.valid('json')
      return once(c, {
        at: '/api/doctors',
        request,
        create: (db) => createDoctor(db, c.get('caller'), request),
        read: 'doctors:get',
        see: (db, _, id) => getDoctor(db, id),
      })
    },
  )
  .get(
    '/:id',
    can('doctors:get', { id: 'getDoctor', summary: 'Get a doctor', answers: one(Doctor) }),
    valid('param', ById),
    noQuery(exists),
    async (c) => {
      const doctor = await getDoctor(c.env.db, c.req.valid('param').id)
      c.set('subject', { resourceId: doctor.id })
      return answerOne(c, doctor)
    },
  )
  .put(
    '/:id',
    can('doctors:update', {
      id: 'replaceDoctor',
      summary: 'Replace a doctor',
      description: 'An optional field that is absent is cleared.',
      answers: one(Doctor),
      problems: ['conflict', 'forbidden'],
    }),
    valid('param', ById),
    valid('json', WholeDoctor, { first: exists }),
    async (c) => {
      // The link stays where the caller may not set it; where they may, an absent field is a cleared one.
      const cleared = mayUse(c.get('caller').role, 'doctors:link') ? { userId: null } : {}
      return answerChanged(
        c,
        await changeDoctor(c.env.db, c.get('caller'), c.req.valid('param').id, { ...cleared, ...c.req.valid('json') }),
      )
    },
  )
  .patch(
    '/:id',
    can('doctors:update', {
      id: 'updateDoctor',
      summary: 'Change some fields of a doctor',
      answers: one(Doctor),
      problems: ['conflict', 'forbidden'],
    }),
    valid('param', ById),
    valid('json', DoctorPatch, { first: exists }),
    async (c) =>
      answerChanged(c, await changeDoctor(c.env.db, c.get('caller'), c.req.valid('param').id, c.req.valid('json'))),
  )
  .delete(
    '/:id',
    can('doctors:delete', {
      id: 'deleteDoctor',
      summary: 'Delete a doctor',
      description:
        'Hides the doctor and ends their mappings; past appointments keep the name. Refused while there are appointments to come.',
      answers: deleted,
      problems: ['conflict'],
    }),
    valid('param', ById),
    noQuery(exists),
    async (c) => {
      await deleteDoctor(c.env.db, c.get('caller'), c.req.valid('param').id)
      return c.body(null, 204)
    },
  )
  .post(
    '/:id/restore',
    can('doctors:restore', {
      id: 'restoreDoctor',
      summary: 'Bring a deleted doctor back',
      answers: one(Doctor),
      problems: ['conflict'],
    }),
    valid('param', ById),
    noQuery(),
    async (c) => answerChanged(c, await restoreDoctor(c.env.db, c.get('caller'), c.req.valid('param').id)),
  )
