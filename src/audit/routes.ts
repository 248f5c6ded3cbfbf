import { type Context, Hono } from 'hono'
import { can } from '../access/can.ts'
import { assertPatientAccess } from '../access/patient-access.ts'
import type { GuardedEnv } from '../context.ts'
import { IdParam } from '../http/field-types.ts'
import { newestFirstQuery } from '../http/list-query.ts'
import { pageResponse } from '../http/operation-description.ts'
import { fetchPage, respondWithPage } from '../http/paging.ts'
import { valid } from '../http/validation.ts'
import { listAuditEntries, listAuditEntriesOfPatient } from './queries.ts'
import { AuditEntryResponse, AuditQuery } from './schema.ts'

/** @throws {Problem} 404, 403 where the trail of the patient in the path is not the caller's to read */
const assertPatientInPath = (c: Context<GuardedEnv, '/:id'>) =>
  assertPatientAccess(c.env.db, c.get('requestContext'), c.req.param('id'))

/** `/api/audit` and `/api/patients/{id}/audit`. */
export const auditRoutes = new Hono()
  .get(
    '/audit',
    can('audit:list', {
      operationId: 'listAudit',
      summary: 'List who saw or changed what',
      responds: pageResponse(AuditEntryResponse),
    }),
    valid('query', AuditQuery),
    async (c) => {
      const query = c.req.valid('query')
      return respondWithPage(c, await fetchPage(c, query, listAuditEntries(c.env.db, query)), null)
    },
  )
  .get(
    '/patients/:id/audit',
    can('audit:patient', {
      operationId: 'listAuditOfPatient',
      summary: 'List who saw or changed a patient’s data',
      responds: pageResponse(AuditEntryResponse),
    }),
    valid('param', IdParam),
    valid('query', newestFirstQuery({}), { precheck: assertPatientInPath }),
    async (c) => {
      const patientId = c.req.valid('param').id
      await assertPatientInPath(c)
      return respondWithPage(
        c,
        await fetchPage(c, c.req.valid('query'), listAuditEntriesOfPatient(c.env.db, patientId)),
        null,
      )
    },
  )
