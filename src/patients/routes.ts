import { type Context, Hono } from 'hono'
import { can, type Guarded } from '../access/can.ts'
import { mayUse } from '../access/permissions.ts'
import { created, deleted, one, page } from '../http/about.ts'
import { answerChanged, answerOne } from '../http/etag.ts'
import { ById } from '../http/fields.ts'
import { answerPage, readPage } from '../http/page.ts'
import { Problem } from '../http/problem.ts'
import { noQuery, valid } from '../http/valid.ts'
import { once } from '../idempotency/once.ts'
import { changePatient, createPatient, deletePatient, getPatient, listPatients, restorePatient } from './queries.ts'
import { NewPatient, Patient, PatientPatch, PatientQuery, WholePatient } from './schema.ts'

/** @throws {Problem} 404 where the caller does not see the patient in the path */
const seesPatient = (c: Context<Guarded, '/:id'>) => getPatient(c.env.db, c.get('caller'), c.req.param('id'))

/** @throws {Problem} 403 where someone who is no administrator asks for deleted patients */
const maySeeDeleted = async (c: Context<Guarded>) => {
  if (c.req.query('deleted') === 'true' && !mayUse(c.get('caller').role, 'patients:restore'))
    throw new Problem('forbidden')
}

export const patientRoutes = new Hono()
  .get(
    '/',
    can('patients:list', {
      id: 'listPatients',
      summary: 'List patients',
      answers: page(Patient),
      problems: ['forbidden'],
    }),
    valid('query', PatientQuery, { first: maySeeDeleted }),
    async (c) => {
      const query = c.req.valid('query')
      await maySeeDeleted(c)
      const read = await readPage(c, query, listPatients(c.env.db, c.get('caller'), query))
      return answerPage(c, read, (row) => row.id)
    },
  )
  .post(
    '/',
    can('patients:create', {
      id: 'createPatient',
      summary: 'Add a patient',
      description: 'An account of role patient may add one patient with `self`, which links the two.',
      answers: created(Patient),
      problems: ['conflict', 'forbidden'],
      limits: ['PATIENTS_PER_ACCOUNT_DAY'],
    }),
    valid('json', NewPatient),
    async (c) => {
      const request = c.req.valid('json')
      return once(c, {
        at: '/api/patients',
        request,
        create: (db) => createPatient(db, c.env.config, c.get('caller'), request),
        read: 'patients:get',
        see: getPatient,
        patientOf: ({ id }) => id,
      })
    },
  )
  .get(
    '/:id',
    can('patients:get', { id: 'getPatient', summary: 'Get a patient', answers: one(Patient) }),
    valid('param', ById),
    noQuery(seesPatient),
    async (c) => {
      const patient = await getPatient(c.env.db, c.get('caller'), c.req.valid('param').id)
      c.set('subject', { resourceId: patient.id, patientId: patient.id })
      return answerOne(c, patient)
    },
  )
  .put(
    '/:id',
    can('patients:update', {
      id: 'replacePatient',
      summary: 'Replace a patient',
      description: 'An optional field that is absent is cleared.',
      answers: one(Patient),
      problems: ['conflict', 'forbidden'],
    }),
    valid('param', ById),
    valid('json', WholePatient, { first: seesPatient }),
    async (c) => {
      const { id } = c.req.valid('param')
      // The link stays where the caller may not set it; where they may, an absent field is a cleared one.
      const cleared = mayUse(c.get('caller').role, 'patients:link') ? { userId: null } : {}
      return answerChanged(
        c,
        await changePatient(c.env.db, c.get('caller'), id, { ...cleared, ...c.req.valid('json') }),
      )
    },
  )
  .patch(
    '/:id',
    can('patients:update', {
      id: 'updatePatient',
      summary: 'Change some fields of a patient',
      answers: one(Patient),
      problems: ['conflict', 'forbidden'],
    }),
    valid('param', ById),
    valid('json', PatientPatch, { first: seesPatient }),
    async (c) =>
      answerChanged(c, await changePatient(c.env.db, c.get('caller'), c.req.valid('param').id, c.req.valid('json'))),
  )
  .delete(
    '/:id',
    can('patients:delete', {
      id: 'deletePatient',
      summary: 'Delete a patient',
      description: 'Hides the patient everywhere; nothing is lost. Refused while there are appointments to come.',
      answers: deleted,
      problems: ['conflict'],
    }),
    valid('param', ById),
    noQuery(seesPatient),
    async (c) => {
      await deletePatient(c.env.db, c.get('caller'), c.req.valid('param').id)
      return c.body(null, 204)
    },
  )
  .post(
    '/:id/restore',
    can('patients:restore', {
      id: 'restorePatient',
      summary: 'Bring a deleted patient back',
      answers: one(Patient),
      problems: ['conflict'],
    }),
    valid('param', ById),
    noQuery(),
    async (c) => answerChanged(c, await restorePatient(c.env.db, c.get('caller'), c.req.valid('param').id)),
  )
