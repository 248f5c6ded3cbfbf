import { type Context, Hono } from 'hono'
import { can, type Guarded } from '../access/can.ts'
import { ById } from '../http/fields.ts'
import { answerPage, readPage } from '../http/page.ts'
import { Problem } from '../http/problem.ts'
import { valid } from '../http/valid.ts'
import { changePatient, createPatient, deletePatient, getPatient, listPatients, restorePatient } from './queries.ts'
import { NewPatient, PatientPatch, PatientQuery, WholePatient } from './schema.ts'

/** @throws {Problem} 404 where the caller does not see the patient in the path */
const seesPatient = (c: Context<Guarded, '/:id'>) => getPatient(c.env.db, c.var.caller, c.req.param('id'))

export const patientRoutes = new Hono()
  .get('/', can('patients:list'), valid('query', PatientQuery), async (c) => {
    const query = c.req.valid('query')
    if (query.deleted === 'true' && c.var.caller.role !== 'admin') throw new Problem('forbidden')
    const read = await readPage(c, query, listPatients(c.env.db, c.var.caller, query))
    return answerPage(c, read, (row) => row.id)
  })
  .post('/', can('patients:create'), valid('json', NewPatient), async (c) => {
    const patient = await createPatient(c.env.db, c.var.caller, c.req.valid('json'))
    return c.json(patient, 201, { Location: `/api/patients/${patient.id}` })
  })
  .get('/:id', can('patients:get'), valid('param', ById), async (c) => {
    const patient = await getPatient(c.env.db, c.var.caller, c.req.valid('param').id)
    c.set('subject', { resourceId: patient.id, patientId: patient.id })
    return c.json(patient, 200)
  })
  .put(
    '/:id',
    can('patients:update'),
    valid('param', ById),
    valid('json', WholePatient, { first: seesPatient }),
    async (c) => {
      const { id } = c.req.valid('param')
      // Outside an administrator's body the link stays; in one, an absent field is a cleared one.
      const cleared = c.var.caller.role === 'admin' ? { userId: null } : {}
      return c.json(await changePatient(c.env.db, c.var.caller, id, { ...cleared, ...c.req.valid('json') }), 200)
    },
  )
  .patch(
    '/:id',
    can('patients:update'),
    valid('param', ById),
    valid('json', PatientPatch, { first: seesPatient }),
    async (c) => c.json(await changePatient(c.env.db, c.var.caller, c.req.valid('param').id, c.req.valid('json')), 200),
  )
  .delete('/:id', can('patients:delete'), valid('param', ById), async (c) => {
    await deletePatient(c.env.db, c.var.caller, c.req.valid('param').id)
    return c.body(null, 204)
  })
  .post('/:id/restore', can('patients:restore'), valid('param', ById), async (c) =>
    c.json(await restorePatient(c.env.db, c.var.caller, c.req.valid('param').id), 200),
  )
