import { createServer, type IncomingMessage } from 'node:http'
import { verify } from '@node-rs/argon2'
import postgres from 'postgres'
import { v7 as uuid } from 'uuid'
import { statements } from '../sql.ts'

/*
 * The ceiling: what Node and the driver do with these statements, and nothing else. No authentication, no checks, no
 * audit, no log, no errors.
 */

const text = { to: 1082, from: [1082], serialize: (value: string) => value, parse: (value: string) => value }
const sql = postgres(process.env.DATABASE_URL ?? '', { max: 10, fetch_types: false, types: { date: text } })
type Row = Record<string, unknown>
type NewPatient = Record<
  'name' | 'dateOfBirth' | 'gender' | 'phone' | 'email' | 'address' | 'bloodGroup' | 'medicalHistory',
  string
> & { allergies: string[] }
const query = (statement: string, parameters: postgres.ParameterOrJSON<never>[]) =>
  sql.unsafe<Row[]>(statement, parameters, { prepare: true })

const bodyOf = async (request: IncomingMessage) => {
  let body = ''
  for await (const chunk of request) body += chunk
  return JSON.parse(body)
}

const page = (rows: Row[]) => ({ results: rows.slice(0, 50), next: rows.length > 50 ? '' : null })

async function listPatients(parameters: URLSearchParams) {
  const [q, key, id] = [parameters.get('q'), parameters.get('key'), parameters.get('id')]
  if (q) return page(await query(statements.foundPatients, [51, q]))
  return page(key ? await query(statements.morePatients, [51, key, id]) : await query(statements.firstPatients, [51]))
}

async function addPatient(body: NewPatient) {
  const { name, dateOfBirth, gender, phone, email, address, bloodGroup, allergies, medicalHistory } = body
  const [by, id] = ['01900000-0000-7000-8001-000000000001', uuid()]
  const row = [id, name, dateOfBirth, gender, phone, email, address, bloodGroup, sql.json(allergies)]
  const told = sql.json({ name: { before: null, after: name } })
  const [patient] = await query(statements.insertBoth, [...row, medicalHistory, by, uuid(), '127.0.0.1', uuid(), told])
  return patient
}

async function answer(request: IncomingMessage): Promise<unknown> {
  const url = request.url ?? ''
  if (request.method === 'POST' && url === '/api/patients') return addPatient(await bodyOf(request))
  if (request.method === 'POST') {
    const { email, password } = await bodyOf(request)
    const [account] = await query(statements.credentials, [email])
    return { right: await verify(String(account?.passwordHash), password) }
  }
  if (url.startsWith('/api/patients/')) {
    const [row] = await query(statements.onePatient, [url.slice('/api/patients/'.length)])
    const { version: _, ...shown } = row ?? {}
    return shown
  }
  if (url.startsWith('/api/mappings/')) {
    const rows = await query(statements.mappingsOfPatient, [url.slice('/api/mappings/'.length), 51])
    return page(
      rows.map(({ patientName, doctorName, specialization, ...row }) => ({
        ...row,
        patient: { id: row.patientId, name: patientName },
        doctor: { id: row.doctorId, name: doctorName, specialization },
      })),
    )
  }
  return listPatients(new URLSearchParams(url.slice(url.indexOf('?') + 1)))
}

const server = createServer((request, response) => {
  void answer(request).then((body) => {
    const json = JSON.stringify(body)
    response.writeHead(request.method === 'POST' ? 201 : 200, {
      'Content-Type': 'application/json',
      'Content-Length': Buffer.byteLength(json),
    })
    response.end(json)
  })
})
server.listen(0, '127.0.0.1', () => {
  const address = server.address()
  process.stdout.write(`{"msg":"listening","port":${typeof address === 'object' ? address?.port : 0}}\n`)
})
process.once('SIGTERM', () => process.exit(0))
