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
import { Problem } from '../../http/problem.ts'
import { noQuery, valid } from '../../http/validation.ts'
import { withIdempotency } from '../../idempotency/with-idempotency.ts'
import { changePatient, createPatient, deletePatient, getPatient, listPatients, restorePatient } from './queries.ts'
import { NewPatient, PatientPatch, PatientQuery, PatientReplacement, PatientResponse } from './schema.ts'

/** @throws {Problem} 404 where the caller does not see the patient in the path */
const assertPatientInPath = (c: Context<GuardedEnv, '/:id'>) =>
  getPatient(c.env.db, c.get('requestContext'), c.req.param('id'))

/** @throws {Problem} 403 where someone who is no administrator asks for deleted patients */
const assertMaySeeDeleted = async (c: Context<GuardedEnv>) => {
  if (c.req.query('deleted') === 'true' && !roleMay(c.get('requestContext').principal.role, 'patients:restore'))
    throw new Problem('forbidden')
}

/** What PUT and PATCH do. */
const respondWithChangedPatient = async (c: Context<GuardedEnv>, id: string, values: z.output<typeof PatientPatch>) =>
  respondWithChanged(c, await changePatient(c.env.db, c.get('requestContext'), id, parseIfMatch(c.req), values))

/** `/api/patients`. */
export const patientRoutes = new Hono()
  .get(
    '/',
    can('patients:list', {
      operationId: 'listPatients',
      summary: 'List patients',
      responds: pageResponse(PatientResponse),
      problems: ['forbidden'],
    }),
    valid('query', PatientQuery, { precheck: assertMaySeeDeleted }),
    async (c) => {
      const query = c.req.valid('query')
      await assertMaySeeDeleted(c)
      const read = await fetchPage(c, query, listPatients(c.env.db, c.get('requestContext'), query))
      return respondWithPage(c, read, (row) => row.id)
    },
  )
  .post(
    '/',
    can('patients:create', {
      operationId: 'createPatient',
      summary: 'Add a patient',
      description: 'An account of role patient may add one patient with `self`, which links the two.',
      responds: createdResponse(PatientResponse),
      problems: ['conflict', 'forbidden'],
      limits: ['PATIENTS_PER_ACCOUNT_DAY'],
    }),
    valid('json', NewPatient),
    async (c) => {
      const newPatient = c.req.valid('json')
      return withIdempotency(c, {
        location: '/api/patients',
        requestFingerprint: newPatient,
        create: (db) => createPatient(db, c.env.config, c.get('requestContext'), newPatient),
        readPermission: 'patients:get',
        assertVisible: getPatient,
        getPatientId: ({ id }) => id,
      })
    },
  )
  .get(
    '/:id',
    can('patients:get', {
      operationId: 'getPatient',
      summary: 'Get a patient',
      responds: recordResponse(PatientResponse),
    }),
    valid('param', IdParam),
    noQuery(assertPatientInPath),
    async (c) => {
      const patient = await getPatient(c.env.db, c.get('requestContext'), c.req.valid('param').id)
      return respondWithRecord(c, patient, { patientId: patient.id })
    },
  )
  .put(
    '/:id',
    can('patients:update', {
      operationId: 'replacePatient',
      summary: 'Replace a patient',
      description: 'An optional field that is absent is cleared.',
      responds: recordResponse(PatientResponse),
      problems: ['conflict', 'forbidden'],
    }),
    valid('param', IdParam),
    valid('json', PatientReplacement, { precheck: assertPatientInPath }),
    async (c) => {
      // The link stays where the caller may not set it; where they may, an absent field is a cleared one.
      const cleared = roleMay(c.get('requestContext').principal.role, 'patients:link') ? { userId: null } : {}
      return respondWithChangedPatient(c, c.req.valid('param').id, { ...cleared, ...c.req.valid('json') })
    },
  )
  .patch(
    '/:id',
    can('patients:update', {
      operationId: 'updatePatient',
      summary: 'Change some fields of a patient',
      responds: recordResponse(PatientResponse),
      problems: ['conflict', 'forbidden'],
    }),
    valid('param', IdParam),
    valid('json', PatientPatch, { precheck: assertPatientInPath }),
    async (c) => respondWithChangedPatient(c, c.req.valid('param').id, c.req.valid('json')),
  )
  .delete(
    '/:id',
    can('patients:delete', {
      operationId: 'deletePatient',
      summary: 'Delete a patient',
      description: 'Hides the patient everywhere; nothing is lost. Refused while there are appointments to come.',
      responds: deletedResponse,
      problems: ['conflict'],
    }),
    valid('param', IdParam),
    noQuery(assertPatientInPath),
    async (c) => {
      await deletePatient(c.env.db, c.get('requestContext'), c.req.valid('param').id, parseIfMatch(c.req))
      return c.body(null, 204)
    },
  )
  .post(
    '/:id/restore',
    can('patients:restore', {
      operationId: 'restorePatient',
      summary: 'Bring a deleted patient back',
      responds: recordResponse(PatientResponse),
      problems: ['conflict'],
    }),
    valid('param', IdParam),
    noQuery(),
    async (c) =>
      respondWithChanged(
        c,
        await restorePatient(c.env.db, c.get('requestContext'), c.req.valid('param').id, parseIfMatch(c.req)),
      ),
  )
