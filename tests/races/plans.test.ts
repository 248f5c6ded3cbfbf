import postgres from 'postgres'
import { afterAll, describe, expect, inject, it } from 'vitest'
import { fill, idOf, password } from '../../bench/data.ts'
import { connectDatabase } from '../../src/database/client.ts'
import { type Answer, Api, Person } from '../support/api.ts'
import { copyOf } from '../support/database.ts'
import { type Sent, statementsOf } from '../support/statements.ts'

/** Enough that reading a whole table costs more than looking up what is asked for. */
const patients = 20_000

/** A database with so many patients, and a connection to ask it for plans. */
async function filled(count: number) {
  const database = await copyOf(inject('template'))
  const made = postgres(database.url, { max: 1, onnotice: () => {} })
  await fill(made, count)
  await made.end()
  const planner = connectDatabase(database.url, { maxConnections: 1 }).$client
  return { database, planner }
}

const { database, planner } = await filled(patients)
/** Where reading a whole table costs little more. */
const smaller = await filled(patients / 2)
const api = await Api.start(database.url, { DATABASE_POOL_MAX: '1' })
afterAll(async () => {
  await Promise.all([planner.end(), smaller.planner.end()])
  await api.stop()
  await Promise.all([database.stop(), smaller.database.stop()])
})

async function signedIn(email: string): Promise<Person> {
  const answer = await api.send('POST', '/api/auth/login', { email, password })
  return new Person(api, answer.string('user.id'), email, answer.string('access'), answer.string('refresh'))
}
const admin = await signedIn('staff.1@example.org')
const doctor = await signedIn('doctor@example.org')
const own = await signedIn('patient.5000@example.org')

type Plan = {
  'Node Type': string
  'Relation Name'?: string
  'Plan Rows'?: number
  'Actual Rows'?: number
  'Actual Loops'?: number
  'Rows Removed by Filter'?: number
  'Rows Removed by Index Recheck'?: number
  Plans?: Plan[]
}

/** How many rows of the big tables a page may look at, whatever it is filtered by. */
const most = patients / 5

const big = new Set(['patients', 'mappings', 'appointments', 'audit'])
const literal = (value: unknown) => (value === null ? 'null' : `'${String(value).replaceAll("'", "''")}'`)

/**
 * Every plan that PostgreSQL takes for a prepared statement: the first ones look at the parameters, a later one may not.
 * A search and a range of dates have no name, and so always a plan for what is asked for.
 */
async function plansOf({ text, parameters }: Sent, options: string, on = planner): Promise<Plan[]> {
  const plans: Plan[] = []
  await on.unsafe(`prepare asked as ${text}`)
  for (let time = 0; time < (/containing\(|"starts_at" (>=|<)/.test(text) ? 1 : 7); time += 1) {
    const rows = await on.unsafe<{ 'QUERY PLAN': string }[]>(
      `explain (${options}, format json) execute asked (${parameters.map(literal).join(', ')})`,
    )
    const explained: { Plan: Plan }[] = JSON.parse(rows[0]?.['QUERY PLAN'] ?? '[]')
    plans.push(...explained.map(({ Plan }) => Plan))
  }
  await on.unsafe('deallocate asked')
  return plans
}

const nodesOf = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodesOf)]
const scansOf = (plan: Plan) => nodesOf(plan).filter((node) => big.has(node['Relation Name'] ?? ''))
const wholly = (plan: Plan) =>
  scansOf(plan)
    .filter((node) => node['Node Type'].endsWith('Seq Scan'))
    .map((node) => node['Relation Name'])
/** The rows of the big tables that a plan looked at. */
const rowsRead = (plan: Plan) =>
  scansOf(plan)
    .map((node) => {
      const each =
        (node['Actual Rows'] ?? 0) +
        (node['Rows Removed by Filter'] ?? 0) +
        (node['Rows Removed by Index Recheck'] ?? 0)
      return each * (node['Actual Loops'] ?? 1)
    })
    .reduce((sum, rows) => sum + rows, 0)

const some = idOf('patients', 100)
const theirs = idOf('patients', 1)
const self = idOf('patients', 5000)
const aDoctor = idOf('doctors', 7)
const sorts = ['name', 'dateOfBirth', 'createdAt', 'updatedAt'].flatMap((sort) => [sort, `-${sort}`])
const week = 'from=2024-01-08T00:00:00Z&to=2024-01-15T00:00:00Z'

const reads: Record<string, string[]> = {
  admin: [
    `/api/patients/${some}`,
    '/api/patients',
    ...sorts.map((sort) => `/api/patients?sort=${sort}`),
    '/api/patients?q=ann',
    '/api/patients?q=birdie%20von',
    '/api/patients?q=nobody%20at%20all',
    '/api/patients?q=%2B1212',
    '/api/patients?gender=other',
    '/api/patients?deleted=true',
    `/api/patients?doctorId=${idOf('doctors', 1)}`,
    `/api/mappings/${idOf('patients', 40)}`,
    `/api/mappings/${idOf('mappings', 40)}`,
    '/api/mappings',
    `/api/mappings?patientId=${some}`,
    `/api/mappings?doctorId=${aDoctor}`,
    `/api/patients/${some}/doctors`,
    `/api/doctors/${aDoctor}/patients`,
    '/api/appointments',
    `/api/appointments/${idOf('appointments', 40)}`,
    `/api/appointments?patientId=${some}`,
    `/api/appointments?doctorId=${aDoctor}`,
    '/api/appointments?status=scheduled',
    `/api/appointments?${week}`,
    `/api/appointments?doctorId=${aDoctor}&${week}`,
    `/api/doctors/${aDoctor}/slots?from=2099-01-05&to=2099-01-09&minutes=30`,
    `/api/patients/${some}/reports`,
    '/api/audit',
    `/api/audit?patientId=${some}`,
    `/api/audit?userId=${idOf('staff', 7)}`,
    '/api/audit?action=patient.update',
    `/api/audit?requestId=${idOf('audit', 7)}`,
    '/api/audit?action=report.download',
    `/api/audit?patientId=${some}&action=patient.update`,
    `/api/audit?${week}`,
    `/api/patients/${some}/audit`,
  ],
  doctor: [
    `/api/patients/${theirs}`,
    '/api/patients',
    ...sorts.map((sort) => `/api/patients?sort=${sort}`),
    '/api/patients?q=ann',
    '/api/patients?gender=other',
    '/api/appointments',
    '/api/appointments?status=scheduled',
    `/api/appointments?${week}`,
    '/api/mappings',
    `/api/mappings/${theirs}`,
    `/api/doctors/${idOf('doctors', 1)}/patients`,
    `/api/appointments?patientId=${theirs}`,
  ],
  patient: [
    '/api/patients',
    `/api/patients/${self}`,
    '/api/appointments',
    '/api/mappings',
    `/api/patients/${self}/audit`,
  ],
}
const people: Record<string, Person> = { admin, doctor, patient: own }

const sentFor = async (person: Person, act: () => Promise<Answer>) => {
  await person.get('/api/auth/me')
  const { result, sent } = await statementsOf(api.db, act)
  expect(result.status, result.text).toBeLessThan(300)
  return { result, sent }
}

describe.each(Object.entries(reads))('Reads of %s', (who, paths) => {
  const person = people[who] ?? admin
  it.each(paths)('only rows that are asked for are read by %s', async (path) => {
    const { result, sent } = await sentFor(person, () => person.get(path))
    const next = result.at('next')
    const more = typeof next === 'string' ? (await sentFor(person, () => person.get(next))).sent : []
    for (const statement of [...sent, ...more])
      for (const plan of await plansOf(statement, 'analyze, timing off')) {
        expect(wholly(plan), statement.text).toEqual([])
        expect(rowsRead(plan), statement.text).toBeLessThan(most)
      }
  })
})

describe('Mappings of one record in a small table', () => {
  it.each([`/api/mappings/${idOf('patients', 40)}`, `/api/mappings/${idOf('mappings', 40)}`])(
    'the mappings of one record are looked up by index: %s',
    async (path) => {
      const { sent } = await sentFor(admin, () => admin.get(path))
      for (const statement of sent)
        for (const plan of await plansOf(statement, 'analyze, timing off', smaller.planner))
          expect(rowsRead(plan), statement.text).toBeLessThan(20)
    },
  )
})

describe('A page of all there are', () => {
  it.each(['patients', 'mappings', 'appointments', 'audit'])('the first pages keep their plan: %s', async (list) => {
    const first = await sentFor(admin, () => admin.get(`/api/${list}`))
    const second = await sentFor(admin, () => admin.get(first.result.string('next')))
    for (const { text, parameters } of [...first.sent, ...second.sent]) {
      await planner.unsafe(`prepare kept as ${text}`)
      for (let time = 0; time < 6; time += 1)
        await planner.unsafe(`execute kept (${parameters.map(literal).join(', ')})`)
      const [kept] = await planner.unsafe(`select generic_plans from pg_prepared_statements where name = 'kept'`)
      expect(Number(kept?.generic_plans), text).toBe(1)
      await planner.unsafe('deallocate kept')
    }
  })
})

describe('The estimate of a search', () => {
  it.each(['kuh', 'zel', 'xan'])('PostgreSQL estimates well how many rows hold the text %s', async (q) => {
    const [row] = await planner.unsafe(`select count(*)::int from patients where search like '%${q}%'`)
    const text = 'select id from patients where search like containing($1)'
    const [plan] = await plansOf({ text, parameters: [q] }, 'costs')
    expect(row?.count).toBeGreaterThan(20)
    expect(plan?.['Plan Rows']).toBeGreaterThan(row?.count / 3)
    expect(plan?.['Plan Rows']).toBeLessThan(row?.count * 3)
  })
})

const [patientId, doctorId] = [idOf('patients', 3), idOf('doctors', 9)]
const visit = patients - 100
const times = { startsAt: '2099-01-05T09:00:00Z', endsAt: '2099-01-05T09:30:00Z' }

describe('Changes', () => {
  const changes: [what: string, act: (by: Person) => Promise<Answer>][] = [
    ['a patient', (by) => by.patch(`/api/patients/${theirs}`, { address: '1 New Street' })],
    ['an appointment', (by) => by.patch(`/api/appointments/${idOf('appointments', visit)}`, { reason: 'x' })],
  ]
  const administrators: typeof changes = [
    ['a patient that is deleted', (by) => by.delete(`/api/patients/${idOf('patients', 11)}`)],
    ['an appointment that is booked', (by) => by.post('/api/appointments', { patientId, doctorId, ...times })],
    ['a mapping that is made', (by) => by.post('/api/mappings', { patientId, doctorId })],
    ['a mapping that is deleted', (by) => by.delete(`/api/mappings/${idOf('mappings', 41)}`)],
  ]
  it.each([
    ...changes.map(([what, act]) => ({ what, act, who: 'doctor', by: doctor })),
    ...[...administrators, ...changes].map(([what, act]) => ({ what, act, who: 'admin', by: admin })),
  ])('a change looks up its rows by index: $what, by $who', async ({ act, by }) => {
    const { sent } = await sentFor(by, () => act(by))
    for (const statement of sent)
      for (const plan of await plansOf(statement, 'costs off')) expect(wholly(plan), statement.text).toEqual([])
  })
})
