import { mappedEvery, password, type Size, sizes, staff } from './data.ts'
import type { Load } from './load.ts'
import { ask, type Server, type SystemName } from './servers.ts'

/** What an answer is expected to reach: requests/s against another system's, or a p99 in ms. */
export type Goal = { bare?: number; fastify?: number; size?: number; p99?: number }

/** One path that is measured. `load` is what is sent to a system, of what `prepare` found out. */
export type Case = {
  name: string
  title: string
  /** Whose token is sent: an administrator's, who sees everything, or that of a doctor with 200 patients. */
  as: 'admin' | 'doctor' | 'nobody'
  systems: SystemName[]
  goal: Goal
  load: (server: Server, token: string, size: Size) => Load | Promise<Load>
  /** Not part of --quick, and measured for at least so many seconds. */
  slow?: number
}

const newPatient = JSON.stringify({
  name: 'Zoë Zimmer {n}',
  dateOfBirth: '1984-02-29',
  gender: 'female',
  phone: '+4930901820',
  email: 'zoe.zimmer{n}@example.org',
  address: '12 Oak Street, Berlin',
  bloodGroup: 'A+',
  allergies: ['Penicillin'],
  medicalHistory: 'Appendectomy (2004).',
})

const logins: Load = {
  method: 'POST',
  path: '/api/auth/login',
  body: JSON.stringify({ email: 'staff.{n}@example.org', password }),
  count: staff,
}

type Page = { results: { id: string; createdAt: string }[]; next: string | null }

/** The path of a list's 100th page: our cursor, or for the peers the place where it begins. */
async function page100(server: Server, token: string): Promise<string> {
  let path = '/api/patients?limit=50'
  for (let page = 1; ; page += 1) {
    const { results, next } = await ask<Page>(server, path, token)
    const last = results.at(-1)
    if (!last || next === null) throw new Error('the list has no hundredth page')
    path =
      server.name === 'ours' ? next : `/api/patients?limit=50&key=${encodeURIComponent(last.createdAt)}&id=${last.id}`
    if (page === 99) return path
  }
}

const all: SystemName[] = ['bare', 'ours', 'fastify']

export const cases: Case[] = [
  {
    name: 'get',
    title: 'GET /api/patients/{id}',
    as: 'admin',
    systems: all,
    goal: { bare: 0.75, fastify: 1.2, size: 1.25 },
    load: (_server, _token, size) => ({ method: 'GET', path: '/api/patients/{id}', count: sizes[size] }),
  },
  {
    name: 'list',
    title: 'GET /api/patients?limit=50',
    as: 'admin',
    systems: all,
    goal: { bare: 0.8, fastify: 1.1, size: 1.25 },
    load: () => ({ method: 'GET', path: '/api/patients?limit=50' }),
  },
  {
    name: 'page100',
    title: '  its page 100',
    as: 'admin',
    systems: all,
    goal: { bare: 0.8, fastify: 1.1, size: 1.25 },
    load: async (server, token) => ({ method: 'GET', path: await page100(server, token) }),
  },
  {
    name: 'search',
    title: 'GET /api/patients?q=… (three letters)',
    as: 'admin',
    systems: all,
    goal: { p99: 50 },
    load: () => ({ method: 'GET', path: '/api/patients?q={q}' }),
  },
  {
    name: 'mappings',
    title: 'GET /api/mappings/{patientId}',
    as: 'admin',
    systems: all,
    goal: { bare: 0.75, fastify: 1.2, size: 1.25 },
    load: (_server, _token, size) => ({
      method: 'GET',
      path: '/api/mappings/{id}',
      count: sizes[size] / mappedEvery,
      step: mappedEvery,
    }),
  },
  {
    name: 'create',
    title: 'POST /api/patients',
    as: 'admin',
    systems: all,
    goal: { bare: 0.7, fastify: 1, size: 1.25 },
    load: () => ({ method: 'POST', path: '/api/patients', body: newPatient, count: 1_000_000 }),
  },
  {
    name: 'own',
    title: "GET /api/patients of a doctor's 200",
    as: 'doctor',
    systems: ['ours'],
    goal: { size: 1.2 },
    load: () => ({ method: 'GET', path: '/api/patients?limit=50' }),
  },
  {
    name: 'login',
    title: 'POST /api/auth/login',
    as: 'nobody',
    systems: all,
    goal: { bare: 0.95 },
    slow: 10,
    load: () => logins,
  },
  {
    name: 'beside',
    title: 'GET /api/patients/{id} beside 32 sign-ins at once',
    as: 'admin',
    systems: all,
    goal: { p99: 100 },
    slow: 10,
    load: (_server, _token, size) => ({
      method: 'GET',
      path: '/api/patients/{id}',
      count: sizes[size],
      connections: 1,
      beside: logins,
    }),
  },
]

/** The access token that a case is measured with. The bare peer asks for none. */
export async function tokenFor(server: Server, as: Case['as']): Promise<string> {
  if (server.name === 'bare' || as === 'nobody') return ''
  const email = as === 'doctor' ? 'doctor@example.org' : 'staff.1@example.org'
  const { access } = await ask<{ access: string }>(server, '/api/auth/login', '', { email, password })
  return access
}
