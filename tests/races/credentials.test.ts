import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import { afterAll, expect, inject, it } from 'vitest'
import { auditLog } from '../../src/audit/schema.ts'
import { closeDatabase, connectDatabase } from '../../src/database/client.ts'
import { Api } from '../support/api.ts'
import { copyOf } from '../support/database.ts'

const database = await copyOf(inject('template'))
const owner = connectDatabase(database.url, { maxConnections: 1 })
const role = `hospital_credentials_${randomUUID().replaceAll('-', '')}`
await owner.execute(sql.raw(`create role ${role} superuser login password 'right'`))
const url = new URL(database.url)
url.username = role
url.password = 'right'
const api = await Api.start(url.href)

afterAll(async () => {
  await api.stop()
  await owner.execute(sql.raw(`drop role ${role}`))
  await closeDatabase(owner)
  await database.stop()
})

it('while the server does not let the process in, requests are a 503 and the trail is kept', async () => {
  const person = await api.register('Ada Admin')
  await person.get('/api/patients')
  await owner.execute(sql.raw(`alter role ${role} nologin`))
  await owner.execute(sql`select pg_terminate_backend(pid) from pg_stat_activity where usename = ${role}`)
  // The first finds its connection cut, the second gets no other.
  for (const _ of [1, 2]) expect((await person.get('/api/doctors')).status).toBe(503)
  await api.env.auditWriter.flush()

  await owner.execute(sql.raw(`alter role ${role} login`))
  expect((await person.get('/api/doctors')).status).toBe(200)
  await api.env.auditWriter.flush()
  const read = await owner
    .select({ action: auditLog.action })
    .from(auditLog)
    .where(sql`${auditLog.action} = 'patient.list'`)
  expect(read).toHaveLength(1)
})
