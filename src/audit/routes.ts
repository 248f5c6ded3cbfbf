import { type Context, Hono } from 'hono'
import { can, type Guarded } from '../access/can.ts'
import { needPatient } from '../access/patient.ts'
import { page } from '../http/about.ts'
import { ById } from '../http/fields.ts'
import { answerPage, plainQuery, readPage } from '../http/page.ts'
import { valid } from '../http/valid.ts'
import { listEntries, listEntriesOfPatient } from './queries.ts'
import { AuditEntry, AuditQuery } from './schema.ts'

/** @throws {Problem} 404, 403 where the trail of the patient in the path is not the caller's to read */
const ofPatient = (c: Context<Guarded, '/:id'>) => needPatient(c.env.db, c.get('caller'), c.req.param('id'))

export const auditRoutes = new Hono()
  .get(
    '/audit',
    can('audit:list', { id: 'listAudit', summary: 'List who saw or changed what', answers: page(AuditEntry) }),
    valid('query', AuditQuery),
    async (c) => {
      const query = c.req.valid('query')
      return answerPage(c, await readPage(c, query, listEntries(c.env.db, query)))
    },
  )
  .get(
    '/patients/:id/audit',
    can('audit:patient', {
      id: 'listAuditOfPatient',
      summary: 'List who saw or changed a patient’s data',
      answers: page(AuditEntry),
    }),
    valid('param', ById),
    valid('query', plainQuery({}), { first: ofPatient }),
    async (c) => {
      const patientId = c.req.valid('param').id
      await ofPatient(c)
      return answerPage(c, await readPage(c, c.req.valid('query'), listEntriesOfPatient(c.env.db, patientId)))
    },
  )
