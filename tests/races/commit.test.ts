import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { afterAll, expect, it } from 'vitest'
import { AbortingProxy } from '../support/aborting-proxy.ts'
import { Api, Person, patient, secret, world } from '../support/api.ts'
import { ownFolder, Program, send } from '../support/program.ts'

const { url, api, admin } = await world()
const proxy = new AbortingProxy(Number(new URL(url).port || 5432))
await proxy.open()
const through = new URL(url)
through.host = `127.0.0.1:${proxy.port}`
const behind = await Api.start(through.href)
afterAll(async () => {
  await behind.stop()
  await proxy.close()
})
const caller = new Person(behind, admin.id, admin.email, admin.access, admin.refresh)
const rowsNamed = (name: string) => api.db.execute(sql`select from patients where name = ${name}`)

it('a hundred creates whose COMMIT is answered with ROLLBACK are 503, are not stored, and can be repeated with their keys', async () => {
  const name = `Rolled Back ${randomUUID()}`
  const keys = Array.from({ length: 100 }, () => randomUUID())
  const send = (key: string) => caller.post('/api/patients', patient({ name }), { 'Idempotency-Key': key })
  // The first COMMIT of each connection, before and after it was prepared.
  await Promise.all(keys.slice(0, 10).map(() => send(randomUUID())))
  const before = (await rowsNamed(name)).length
  expect(before).toBe(10)
  proxy.aborts = true
  for (let at = 0; at < keys.length; at += 10)
    for (const answer of await Promise.all(keys.slice(at, at + 10).map(send))) {
      expect([answer.status, answer.at('type')]).toEqual([503, '/problems/unavailable'])
      expect(answer.headers.get('Retry-After')).toMatch(/^[1-9]\d*$/)
    }
  expect(await rowsNamed(name)).toHaveLength(before)
  proxy.aborts = false
  const repeated = await Promise.all(keys.slice(0, 20).map(send))
  for (const answer of repeated) {
    expect(answer.status).toBe(201)
    expect((await admin.get(`/api/patients/${answer.id}`)).status).toBe(200)
  }
  expect(await rowsNamed(name)).toHaveLength(before + 20)
})

it('a password whose change is rolled back stays as it was', async () => {
  const person = await behind.register('Stays')
  proxy.aborts = true
  const body = { currentPassword: 'correct horse battery staple', newPassword: 'another good password' }
  expect((await person.post('/api/auth/password', body)).status).toBe(503)
  proxy.aborts = false
  expect((await person.post('/api/auth/password', body)).status).toBe(204)
})

it('a transaction in which a statement has failed keeps nothing, whatever its work makes of the error', async () => {
  const key = randomUUID()
  const work = api.db.transaction(async (tx) => {
    await tx.execute(sql`insert into throttle values (${key}, 0, now())`)
    await tx.execute(sql`select 1/0`).catch(() => {})
  })
  await expect(work).rejects.toMatchObject({ code: '22012' })
  expect(await api.db.execute(sql`select from throttle where key = ${key}`)).toHaveLength(0)
  // Unless the failure is undone by a savepoint.
  await api.db.transaction(async (tx) => {
    await tx.execute(sql`insert into throttle values (${key}, 0, now())`)
    await tx.transaction((inner) => inner.execute(sql`select 1/0`)).catch(() => {})
  })
  expect(await api.db.execute(sql`select from throttle where key = ${key}`)).toHaveLength(1)
})

it('what is forbidden only at COMMIT is the same problem as sooner, and the connection serves the next', async () => {
  await api.db.execute(sql`create function forbid() returns trigger language plpgsql as $$
    begin
      if new.name = 'Forbidden at COMMIT' then raise 'no' using errcode = '23514', constraint = 'appointments_to_come'; end if;
      if new.name = 'Conflicts at COMMIT' then raise 'no' using errcode = '40001'; end if;
      return null;
    end $$`)
  await api.db.execute(sql`create constraint trigger forbid after insert on patients
    deferrable initially deferred for each row execute function forbid()`)
  const send = (name: string) => admin.post('/api/patients', patient({ name }), { 'Idempotency-Key': randomUUID() })
  for (let round = 0; round < 10; round += 1) {
    expect((await send('Forbidden at COMMIT')).at('type')).toBe('/problems/conflict')
    const conflict = await send('Conflicts at COMMIT')
    expect([conflict.status, conflict.headers.get('Retry-After')]).toEqual([503, '1'])
    expect((await send('Allowed')).status).toBe(201)
  }
  expect(await rowsNamed('Forbidden at COMMIT')).toHaveLength(0)
  expect(await rowsNamed('Conflicts at COMMIT')).toHaveLength(0)
})

it('the Worker answers 503 where its COMMIT is answered with ROLLBACK, and takes the same key again', async () => {
  const folder = await ownFolder()
  const worker = new Program('src/cli/dev-worker.ts', {
    DATABASE_URL: through.href,
    DATA_DIR: join(folder, 'data'),
    PORT: '0',
    JWT_SECRET: secret,
  })
  const address = (await worker.said(/Ready on http:\/\/127\.0\.0\.1:\d+/, 90)).replace('Ready on ', '')
  const name = `Rolled Back ${randomUUID()}`
  const keys = Array.from({ length: 100 }, () => randomUUID())
  const create = (key: string) =>
    send('POST', `${address}/api/patients`, patient({ name }), admin.access, { 'Idempotency-Key': key })
  proxy.aborts = true
  for (let at = 0; at < keys.length; at += 5)
    for (const answer of await Promise.all(keys.slice(at, at + 5).map(create)))
      expect([answer.status, answer.headers.get('Retry-After')]).toEqual([503, '1'])
  expect(await rowsNamed(name)).toHaveLength(0)
  proxy.aborts = false
  for (const key of keys.slice(0, 5)) {
    const answer = await create(key)
    expect(answer.status).toBe(201)
    expect((await admin.get(`/api/patients/${answer.id}`)).status).toBe(200)
  }
  expect(await rowsNamed(name)).toHaveLength(5)
  worker.kill()
  expect(await worker.exit()).toBe(0)
}, 150_000)
