import { randomUUID } from 'node:crypto'
import jwt from '@fastify/jwt'
import { verify } from '@node-rs/argon2'
import fastify from 'fastify'
import pg from 'pg'
import { statements } from '../sql.ts'

/*
 * What a plain app of Fastify, pg and @fastify/jwt does with the same tables: a signature checked at each request,
 * prepared statements, bodies validated and answers written by schema. No sessions, scopes, audit, ETags or log.
 */

// Dates as they are stored, not as midnight somewhere.
pg.types.setTypeParser(1082, (value) => value)
const pool = new pg.Pool({ connectionString: process.env.DATABASE_URL, max: 10 })
const rowsOf = async (name, values) => (await pool.query({ name, text: statements[name], values })).rows

const app = fastify()
app.register(jwt, { secret: process.env.JWT_SECRET, sign: { expiresIn: '30m' } })
app.setErrorHandler((error, _request, reply) => reply.code(error.statusCode ?? 500).send({ error: error.message }))

const text = { type: 'string' }
const orNull = { type: ['string', 'null'] }
const patientFields = {
  name: text,
  dateOfBirth: text,
  gender: text,
  phone: orNull,
  email: orNull,
  address: orNull,
  bloodGroup: orNull,
  allergies: { type: 'array', items: text },
  medicalHistory: orNull,
}
const moments = {
  createdAt: { type: 'string', format: 'date-time' },
  updatedAt: { type: 'string', format: 'date-time' },
}
const Patient = {
  type: 'object',
  properties: { id: text, ...patientFields, userId: orNull, createdBy: text, ...moments },
}
const NewPatient = {
  type: 'object',
  required: ['name', 'dateOfBirth', 'gender'],
  additionalProperties: false,
  properties: {
    ...patientFields,
    name: { type: 'string', minLength: 1, maxLength: 200 },
    dateOfBirth: { type: 'string', format: 'date' },
    gender: { enum: ['female', 'male', 'other', 'unknown'] },
    email: { type: ['string', 'null'], format: 'email' },
  },
}
const named = { id: text, name: text, specialization: text }
const Mapping = {
  type: 'object',
  properties: {
    ...{ id: text, patientId: text, doctorId: text, createdBy: text, createdAt: moments.createdAt },
    patient: { type: 'object', properties: named },
    doctor: { type: 'object', properties: named },
  },
}
const pageOf = (items) => ({ type: 'object', properties: { results: { type: 'array', items }, next: orNull } })
const page = (rows, limit) => ({ results: rows.slice(0, limit), next: rows.length > limit ? '' : null })
const ById = { type: 'object', properties: { id: { type: 'string', format: 'uuid' } } }
const ListQuery = {
  type: 'object',
  additionalProperties: false,
  properties: { limit: { type: 'integer', minimum: 1, maximum: 100, default: 50 }, q: text, key: text, id: text },
}

const onRequest = (request) => request.jwtVerify()

app.post(
  '/api/auth/login',
  {
    schema: { body: { type: 'object', required: ['email', 'password'], properties: { email: text, password: text } } },
  },
  async (request, reply) => {
    const [account] = await rowsOf('credentials', [request.body.email])
    if (!account || !(await verify(account.passwordHash, request.body.password)))
      return reply.code(401).send({ error: 'no' })
    return { access: app.jwt.sign({ sub: account.id }) }
  },
)

app.get(
  '/api/patients/:id',
  { onRequest, schema: { params: ById, response: { 200: Patient } } },
  async (request, reply) => {
    const [patient] = await rowsOf('onePatient', [request.params.id])
    return patient ?? reply.code(404).send({ error: 'not found' })
  },
)

app.get(
  '/api/patients',
  { onRequest, schema: { querystring: ListQuery, response: { 200: pageOf(Patient) } } },
  async (request) => {
    const { limit, q, key, id } = request.query
    if (q) return page(await rowsOf('foundPatients', [limit + 1, q]), limit)
    if (key) return page(await rowsOf('morePatients', [limit + 1, key, id]), limit)
    return page(await rowsOf('firstPatients', [limit + 1]), limit)
  },
)

app.get(
  '/api/mappings/:id',
  { onRequest, schema: { params: ById, response: { 200: pageOf(Mapping) } } },
  async (request) => {
    const rows = await rowsOf('mappingsOfPatient', [request.params.id, 51])
    const mappings = rows.map(({ patientName, doctorName, specialization, ...row }) => ({
      ...row,
      patient: { id: row.patientId, name: patientName },
      doctor: { id: row.doctorId, name: doctorName, specialization },
    }))
    return page(mappings, 50)
  },
)

app.post(
  '/api/patients',
  { onRequest, schema: { body: NewPatient, response: { 201: Patient } } },
  async (request, reply) => {
    const {
      name,
      dateOfBirth,
      gender,
      phone,
      email,
      address,
      bloodGroup,
      allergies = [],
      medicalHistory,
    } = request.body
    const [patient] = await rowsOf('insertPatient', [
      ...[randomUUID(), name, dateOfBirth, gender, phone, email, address, bloodGroup, JSON.stringify(allergies)],
      ...[medicalHistory, request.user.sub],
    ])
    return reply.code(201).send(patient)
  },
)

await app.listen({ host: '127.0.0.1', port: 0 })
process.stdout.write(`{"msg":"listening","port":${app.server.address().port}}\n`)
process.once('SIGTERM', () => process.exit(0))
