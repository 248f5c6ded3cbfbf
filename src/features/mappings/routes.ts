import { type Context, Hono } from 'hono'
import { can } from '../../access/can.ts'
import { assertDoctorExists } from '../../access/doctor-access.ts'
import { assertPatientAccess } from '../../access/patient-access.ts'
import type { GuardedEnv } from '../../context.ts'
import { parseIfMatch } from '../../http/etag.ts'
import { IdParam } from '../../http/field-types.ts'
import { respondWithRecord } from '../../http/json-response.ts'
import { newestFirstQuery } from '../../http/list-query.ts'
import { createdResponse, deletedResponse, pageResponse, recordResponse } from '../../http/operation-description.ts'
import { fetchPage, respondWithPage } from '../../http/paging.ts'
import { noQuery, valid } from '../../http/validation.ts'
import { withIdempotency } from '../../idempotency/with-idempotency.ts'
import { DoctorResponse } from '../doctors/schema.ts'
import { PatientResponse } from '../patients/schema.ts'
import {
  createMapping,
  deleteMapping,
  getMappingAccess,
  listMappedDoctors,
  listMappedPatients,
  listMappings,
} from './queries.ts'
import { MappingQuery, MappingResponse, NewMapping } from './schema.ts'

/** @throws {Problem} 404 where the caller does not see the patient in the path */
const assertPatientInPath = (c: Context<GuardedEnv, '/:id'>) =>
  assertPatientAccess(c.env.db, c.get('requestContext'), c.req.param('id'))
/** @throws {Problem} 404 where there is no doctor of the id in the path */
const assertDoctorInPath = (c: Context<GuardedEnv, '/:id'>) => assertDoctorExists(c.env.db, c.req.param('id'))

/** @throws {Problem} 404 where the caller sees no mapping of the id in the path */
const assertMappingInPath = (c: Context<GuardedEnv, '/:id'>) =>
  getMappingAccess(c.env.db, c.get('requestContext'), c.req.param('id'))
/** @throws {Problem} 404 where the id in the path is of no mapping and no patient that the caller sees */
const assertMappingOrPatientInPath = (c: Context<GuardedEnv, '/:id'>) =>
  assertMappingInPath(c).catch(() => assertPatientInPath(c))

/** `/api/mappings`, the patients of a doctor and the doctors of a patient. */
export const mappingRoutes = new Hono()
  .get(
    '/mappings',
    can('mappings:list', {
      operationId: 'listMappings',
      summary: 'List who treats whom',
      responds: pageResponse(MappingResponse),
    }),
    valid('query', MappingQuery),
    async (c) => {
      const query = c.req.valid('query')
      const read = await fetchPage(c, query, listMappings(c.env.db, c.get('requestContext'), query))
      return respondWithPage(c, read, (row) => row.patientId)
    },
  )
  .post(
    '/mappings',
    can('mappings:create', {
      operationId: 'createMapping',
      summary: 'Let a doctor treat a patient',
      description: 'A mapping is what lets the doctor see the patient.',
      responds: createdResponse(MappingResponse),
      problems: ['conflict'],
    }),
    valid('json', NewMapping),
    async (c) => {
      const newMapping = c.req.valid('json')
      c.set('auditSubject', { patientId: newMapping.patientId })
      return withIdempotency(c, {
        location: '/api/mappings',
        requestFingerprint: newMapping,
        create: (db) => createMapping(db, c.get('requestContext'), newMapping),
        readPermission: 'mappings:get',
        assertVisible: getMappingAccess,
        getPatientId: ({ patientId }) => patientId,
      })
    },
  )
  // A mapping's id gives the mapping, a patient's id that patient's mappings: UUIDs cannot collide.
  .get(
    '/mappings/:id',
    can('mappings:get', {
      operationId: 'getMapping',
      summary: 'Get a mapping, or the mappings of a patient',
      description:
        'With the id of a mapping: that mapping. With the id of a patient: a page of that patient’s mappings.',
      responds: recordResponse(MappingResponse),
      orResponds: pageResponse(MappingResponse),
    }),
    valid('param', IdParam),
    valid('query', newestFirstQuery({}), { precheck: assertMappingOrPatientInPath }),
    async (c) => {
      const { id } = c.req.valid('param')
      const read = await fetchPage(
        c,
        c.req.valid('query'),
        listMappings(c.env.db, c.get('requestContext'), { mappingOrPatientId: id }),
      )
      const [first] = read.rows
      if (first?.id === id) {
        return respondWithRecord(c, first, { patientId: first.patientId })
      }
      if (!first) await assertPatientInPath(c)
      c.set('auditSubject', { patientId: id })
      return respondWithPage(c, read, null)
    },
  )
  .delete(
    '/mappings/:id',
    can('mappings:delete', {
      operationId: 'deleteMapping',
      summary: 'Take a doctor’s access to a patient away',
      responds: deletedResponse,
    }),
    valid('param', IdParam),
    noQuery(assertMappingInPath),
    async (c) => {
      await deleteMapping(c.env.db, c.get('requestContext'), c.req.valid('param').id, parseIfMatch(c.req))
      return c.body(null, 204)
    },
  )
  .get(
    '/patients/:id/doctors',
    can('mappings:list', {
      operationId: 'listDoctorsOfPatient',
      summary: 'List the doctors of a patient',
      responds: pageResponse(DoctorResponse),
    }),
    valid('param', IdParam),
    valid('query', newestFirstQuery({}), { precheck: assertPatientInPath }),
    async (c) => {
      const { id } = c.req.valid('param')
      const read = await fetchPage(
        c,
        c.req.valid('query'),
        listMappedDoctors(c.env.db, c.get('requestContext'), { patientId: id }),
      )
      if (read.rows.length === 0) await assertPatientInPath(c)
      return respondWithPage(c, read, null)
    },
  )
  .get(
    '/doctors/:id/patients',
    can('mappings:list', {
      operationId: 'listPatientsOfDoctor',
      summary: 'List the patients of a doctor',
      description: 'Of them, those that the caller sees.',
      responds: pageResponse(PatientResponse),
    }),
    valid('param', IdParam),
    valid('query', newestFirstQuery({}), { precheck: assertDoctorInPath }),
    async (c) => {
      const { id } = c.req.valid('param')
      const read = await fetchPage(
        c,
        c.req.valid('query'),
        listMappedPatients(c.env.db, c.get('requestContext'), { doctorId: id }),
      )
      if (read.rows.length === 0) await assertDoctorInPath(c)
      return respondWithPage(c, read, (row) => row.id)
    },
  )
