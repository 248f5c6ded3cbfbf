import { type Context, Hono } from 'hono'
import { can, type Guarded } from '../access/can.ts'
import { needDoctor } from '../access/doctor.ts'
import { needPatient } from '../access/patient.ts'
import { Doctor } from '../doctors/schema.ts'
import { created, deleted, one, page } from '../http/about.ts'
import { answerOne } from '../http/etag.ts'
import { ById } from '../http/fields.ts'
import { answerPage, plainQuery, readPage } from '../http/page.ts'
import { noQuery, valid } from '../http/valid.ts'
import { once } from '../idempotency/once.ts'
import { Patient } from '../patients/schema.ts'
import {
  createMapping,
  deleteMapping,
  listMappedDoctors,
  listMappedPatients,
  listMappings,
  needMapping,
} from './queries.ts'
import { Mapping, MappingQuery, NewMapping } from './schema.ts'

/** @throws {Problem} 404 where the caller does not see the patient in the path */
const seesPatient = (c: Context<Guarded, '/:id'>) => needPatient(c.env.db, c.get('caller'), c.req.param('id'))
/** @throws {Problem} 404 where there is no doctor of the id in the path */
const doctorExists = (c: Context<Guarded, '/:id'>) => needDoctor(c.env.db, c.req.param('id'))

/** @throws {Problem} 404 where the caller sees no mapping of the id in the path */
const seesMapping = (c: Context<Guarded, '/:id'>) => needMapping(c.env.db, c.get('caller'), c.req.param('id'))
/** @throws {Problem} 404 where the id in the path is of no mapping and no patient that the caller sees */
const seesEither = (c: Context<Guarded, '/:id'>) => seesMapping(c).catch(() => seesPatient(c))

export const mappingRoutes = new Hono()
  .get(
    '/mappings',
    can('mappings:list', { id: 'listMappings', summary: 'List who treats whom', answers: page(Mapping) }),
    valid('query', MappingQuery),
    async (c) => {
      const query = c.req.valid('query')
      const read = await readPage(c, query, listMappings(c.env.db, c.get('caller'), query))
      return answerPage(c, read, (row) => row.patientId)
    },
  )
  .post(
    '/mappings',
    can('mappings:create', {
      id: 'createMapping',
      summary: 'Let a doctor treat a patient',
      description: 'A mapping is what lets the doctor see the patient.',
      answers: created(Mapping),
      problems: ['conflict'],
    }),
    valid('json', NewMapping),
    async (c) => {
      const request = c.req.valid('json')
      c.set('subject', { patientId: request.patientId })
      return once(c, {
        at: '/api/mappings',
        request,
        create: (db) => createMapping(db, c.get('caller'), request),
        read: 'mappings:get',
        see: needMapping,
        patientOf: ({ patientId }) => patientId,
      })
    },
  )
  // A mapping's id gives the mapping, a patient's id that patient's mappings: UUIDs cannot collide.
  .get(
    '/mappings/:id',
    can('mappings:get', {
      id: 'getMapping',
      summary: 'Get a mapping, or the mappings of a patient',
      description:
        'With the id of a mapping: that mapping. With the id of a patient: a page of that patient’s mappings.',
      answers: one(Mapping),
      or: page(Mapping),
    }),
    valid('param', ById),
    valid('query', plainQuery({}), { first: seesEither }),
    async (c) => {
      const { id } = c.req.valid('param')
      const read = await readPage(c, c.req.valid('query'), listMappings(c.env.db, c.get('caller'), { either: id }))
      const [first] = read.rows
      if (first?.id === id) {
        c.set('subject', { resourceId: id, patientId: first.patientId })
        return answerOne(c, first)
      }
      if (!first) await seesPatient(c)
      c.set('subject', { patientId: id })
      return answerPage(c, read)
    },
  )
  .delete(
    '/mappings/:id',
    can('mappings:delete', {
      id: 'deleteMapping',
      summary: 'Take a doctor’s access to a patient away',
      answers: deleted,
    }),
    valid('param', ById),
    noQuery(seesMapping),
    async (c) => {
      await deleteMapping(c.env.db, c.get('caller'), c.req.valid('param').id)
      return c.body(null, 204)
    },
  )
  .get(
    '/patients/:id/doctors',
    can('mappings:list', {
      id: 'listDoctorsOfPatient',
      summary: 'List the doctors of a patient',
      answers: page(Doctor),
    }),
    valid('param', ById),
    valid('query', plainQuery({}), { first: seesPatient }),
    async (c) => {
      const { id } = c.req.valid('param')
      const read = await readPage(
        c,
        c.req.valid('query'),
        listMappedDoctors(c.env.db, c.get('caller'), { patientId: id }),
      )
      if (read.rows.length === 0) await seesPatient(c)
      return answerPage(c, read)
    },
  )
  .get(
    '/doctors/:id/patients',
    can('mappings:list', {
      id: 'listPatientsOfDoctor',
      summary: 'List the patients of a doctor',
      description: 'Of them, those that the caller sees.',
      answers: page(Patient),
    }),
    valid('param', ById),
    valid('query', plainQuery({}), { first: doctorExists }),
    async (c) => {
      const { id } = c.req.valid('param')
      const read = await readPage(
        c,
        c.req.valid('query'),
        listMappedPatients(c.env.db, c.get('caller'), { doctorId: id }),
      )
      if (read.rows.length === 0) await doctorExists(c)
      return answerPage(c, read, (row) => row.id)
    },
  )
