import { type Context, Hono } from 'hono'
import type { z } from 'zod'
import { can } from '../../access/can.ts'
import { roleMay } from '../../access/permissions.ts'
import type { GuardedEnv } from '../../context.ts'
import { parseIfMatch } from '../../http/etag.ts'
import { IdParam } from '../../http/field-types.ts'
import { respondWithChanged, respondWithRecord } from '../../http/json-response.ts'
import { createdResponse, deletedResponse, pageResponse, recordResponse } from '../../http/operation-description.ts'
import { fetchPage, respondWithPage } from '../../http/paging.ts'
import { noQuery, valid } from '../../http/validation.ts'
import { withIdempotency } from '../../idempotency/with-idempotency.ts'
import { changeDoctor, createDoctor, deleteDoctor, getDoctor, listDoctors, restoreDoctor } from './queries.ts'
import { DoctorPatch, DoctorQuery, DoctorReplacement, DoctorResponse } from './schema.ts'

/** @throws {Problem} 404 where there is no doctor of the id in the path */
const assertDoctorInPath = (c: Context<GuardedEnv, '/:id'>) => getDoctor(c.env.db, c.req.param('id'))

/** What PUT and PATCH do. */
const respondWithChangedDoctor = async (c: Context<GuardedEnv>, id: string, values: z.output<typeof DoctorPatch>) =>
  respondWithChanged(c, await changeDoctor(c.env.db, c.get('requestContext'), id, parseIfMatch(c.req), values))

/** `/api/doctors`. */
export const doctorRoutes = new Hono()
  .get(
    '/',
    can('doctors:list', {
      operationId: 'listDoctors',
      summary: 'List doctors',
      responds: pageResponse(DoctorResponse),
    }),
    valid('query', DoctorQuery),
    async (c) => {
      const query = c.req.valid('query')
      return respondWithPage(c, await fetchPage(c, query, listDoctors(c.env.db, query)), null)
    },
  )
  .post(
    '/',
    can('doctors:create', {
      operationId: 'createDoctor',
      summary: 'Add a doctor',
      responds: createdResponse(DoctorResponse),
      problems: ['conflict'],
    }),
    valid('json', DoctorReplacement),
    async (c) => {
      const newDoctor = c.req.valid('json')
      return withIdempotency(c, {
        location: '/api/doctors',
        requestFingerprint: newDoctor,
        create: (db) => createDoctor(db, c.get('requestContext'), newDoctor),
        readPermission: 'doctors:get',
        assertVisible: (db, _, id) => getDoctor(db, id),
      })
    },
  )
  .get(
    '/:id',
    can('doctors:get', { operationId: 'getDoctor', summary: 'Get a doctor', responds: recordResponse(DoctorResponse) }),
    valid('param', IdParam),
    noQuery(assertDoctorInPath),
    async (c) => {
      const doctor = await getDoctor(c.env.db, c.req.valid('param').id)
      return respondWithRecord(c, doctor, { patientId: null })
    },
  )
  .put(
    '/:id',
    can('doctors:update', {
      operationId: 'replaceDoctor',
      summary: 'Replace a doctor',
      description: 'An optional field that is absent is cleared.',
      responds: recordResponse(DoctorResponse),
      problems: ['conflict', 'forbidden'],
    }),
    valid('param', IdParam),
    valid('json', DoctorReplacement, { precheck: assertDoctorInPath }),
    async (c) => {
      // The link stays where the caller may not set it; where they may, an absent field is a cleared one.
      const cleared = roleMay(c.get('requestContext').principal.role, 'doctors:link') ? { userId: null } : {}
      return respondWithChangedDoctor(c, c.req.valid('param').id, { ...cleared, ...c.req.valid('json') })
    },
  )
  .patch(
    '/:id',
    can('doctors:update', {
      operationId: 'updateDoctor',
      summary: 'Change some fields of a doctor',
      responds: recordResponse(DoctorResponse),
      problems: ['conflict', 'forbidden'],
    }),
    valid('param', IdParam),
    valid('json', DoctorPatch, { precheck: assertDoctorInPath }),
    async (c) => respondWithChangedDoctor(c, c.req.valid('param').id, c.req.valid('json')),
  )
  .delete(
    '/:id',
    can('doctors:delete', {
      operationId: 'deleteDoctor',
      summary: 'Delete a doctor',
      description:
        'Hides the doctor and ends their mappings; past appointments keep the name. Refused while there are appointments to come.',
      responds: deletedResponse,
      problems: ['conflict'],
    }),
    valid('param', IdParam),
    noQuery(assertDoctorInPath),
    async (c) => {
      await deleteDoctor(c.env.db, c.get('requestContext'), c.req.valid('param').id, parseIfMatch(c.req))
      return c.body(null, 204)
    },
  )
  .post(
    '/:id/restore',
    can('doctors:restore', {
      operationId: 'restoreDoctor',
      summary: 'Bring a deleted doctor back',
      responds: recordResponse(DoctorResponse),
      problems: ['conflict'],
    }),
    valid('param', IdParam),
    noQuery(),
    async (c) =>
      respondWithChanged(
        c,
        await restoreDoctor(c.env.db, c.get('requestContext'), c.req.valid('param').id, parseIfMatch(c.req)),
      ),
  )
