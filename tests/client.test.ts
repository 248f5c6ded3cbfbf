import { hc, type InferRequestType } from 'hono/client'
import { expect, expectTypeOf, it } from 'vitest'
import { type AppType, app } from '../src/app.ts'
import { password, world } from './support/api.ts'

const { api } = await world()

it('Hono’s client has every path, what it takes and what it answers', async () => {
  // In a program of its own: hc<AppType>('http://127.0.0.1:8000').
  const client = hc<AppType>('http://hospital.test', {
    fetch: (input: RequestInfo | URL, init?: RequestInit) => app.fetch(new Request(input, init), api.env),
  })
  const account = { name: 'Cli Ent', email: 'client@example.org', password }
  const registered = await client.api.auth.register.$post({ json: account })
  const { access, user } = await registered.json()
  expect(user.email).toBe(account.email)

  const headers = { Authorization: `Bearer ${access}` }
  const json = { name: 'Zoë Zimmer', dateOfBirth: '1984-02-29', gender: 'female', phone: '+49 (30) 901820' } as const
  const created = await client.api.patients.$post({ json }, { headers })
  expect(created.status).toBe(201)
  const { id, phone } = await created.json()
  expect(phone).toBe('+4930901820')

  const found = await client.api.patients.$get({ query: { q: 'zoe' } }, { headers })
  expect((await found.json()).results.map((patient) => patient.id)).toEqual([id])
  const changed = await client.api.patients[':id'].$patch({ param: { id }, json: { phone: null } }, { headers })
  expect((await changed.json()).phone).toBe(null)
  // @ts-expect-error: a field that does not exist is found before anything is sent.
  const refused = await client.api.patients[':id'].$patch({ param: { id }, json: { nickname: 'x' } }, { headers })
  expect(refused.status).toBe(400)
})

it('Hono’s client has the type of each body, query and parameter', () => {
  const { api: paths } = hc<AppType>('http://hospital.test')
  type Patch = InferRequestType<(typeof paths.patients)[':id']['$patch']>
  expectTypeOf<Patch['param']>().toEqualTypeOf<{ id: string }>()
  expectTypeOf<Patch['json']['name']>().toEqualTypeOf<string | undefined>()
  expectTypeOf<Patch['json']['gender']>().toEqualTypeOf<'female' | 'male' | 'other' | 'unknown' | undefined>()
  type List = InferRequestType<typeof paths.patients.$get>
  expectTypeOf<List['query']['count']>().toEqualTypeOf<'true' | 'false' | undefined>()
  expectTypeOf<keyof List['query']>().extract<'q' | 'cursor' | 'sort'>().toEqualTypeOf<'q' | 'cursor' | 'sort'>()
  type Logout = InferRequestType<typeof paths.auth.logout.$post>
  expectTypeOf<NonNullable<Logout['json']>['refresh']>().toEqualTypeOf<string | undefined>()
  expectTypeOf<InferRequestType<typeof paths.appointments.$post>['json']['startsAt']>().toEqualTypeOf<string>()
})
