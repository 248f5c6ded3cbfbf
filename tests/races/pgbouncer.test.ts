import { randomUUID } from 'node:crypto'
import { join } from 'node:path'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { losesPreparedStatements } from '../../src/database/pool/pooler-detection.ts'
import { doctor, password, patient } from '../support/api.ts'
import { hasPgBouncer, pgBouncer } from '../support/pgbouncer.ts'
import { ownFolder, Program, send } from '../support/program.ts'

const times = <T>(n: number, act: (i: number) => Promise<T>) => Promise.all(Array.from({ length: n }, (_, i) => act(i)))

// On a machine without PgBouncer this is left out; where the whole is judged, it is not.
describe.skipIf(!hasPgBouncer && !process.env.CI)('PgBouncer in transaction mode', async () => {
  const folder = await ownFolder()
  const server = process.env.TEST_DATABASE_URL ?? ''
  const name = `hospital_pgbouncer_${randomUUID().replaceAll('-', '')}`
  const admin = postgres(server, { max: 1, onnotice: () => {} })
  let bouncer: Awaited<ReturnType<typeof pgBouncer>> | undefined
  let api: Program | undefined
  let migrations: Program[] = []
  let url = ''
  let token = ''

  beforeAll(async () => {
    await admin.unsafe(`create database ${name}`)
    // Fewer connections than the process has: transactions of several of its own share each.
    bouncer = await pgBouncer(server, 3)
    const database = new URL(bouncer.url)
    database.pathname = `/${name}`
    const settings = { DATABASE_URL: database.href, DATABASE_PREPARE: 'false', DATABASE_POOL_MAX: '20' }
    migrations = [1, 2, 3].map(() => new Program('src/cli/migrate.ts', settings))
    await Promise.all(migrations.map((program) => program.exit()))
    api = new Program('src/runtime/node/main.ts', {
      ...settings,
      PORT: '0',
      DATA_DIR: join(folder, 'data'),
      LOG_LEVEL: 'warn',
    })
    url = await api.said(/http:\/\/127\.0\.0\.1:\d+/)
    token = (await post('/auth/register', { name: 'Ada Admin', email: 'ada@example.org', password })).string('access')
  })

  afterAll(async () => {
    api?.kill()
    await api?.exit()
    await bouncer?.stop()
    await admin.unsafe(`drop database if exists ${name} with (force)`)
    await admin.end()
  })

  const post = (path: string, body: unknown) => send('POST', `${url}/api${path}`, body, token)
  const get = (path: string) => send('GET', `${url}/api${path}`, undefined, token)

  it('several processes migrate at once: one does, and the others find it done', () => {
    expect(migrations.map(({ output }) => output.split(' ')[0]).sort()).toEqual(['Applied', 'Nothing', 'Nothing'])
  })

  it('records are created, read and listed, and are in the audit log', async () => {
    expect((await send('GET', `${url}/readyz`)).status).toBe(200)
    const { id } = await post('/patients', patient({ name: 'Zoë Zimmer' }))
    expect((await get(`/patients/${id}`)).at('name')).toBe('Zoë Zimmer')
    expect((await get('/patients?q=zimmer&count=true')).at('count')).toBe(1)
    expect((await get(`/patients/${id}/audit`)).each('action')).toContain('patient.create')
  })

  it('many statements at once over three connections each get their own answer', async () => {
    for (let round = 0; round < 5; round += 1) {
      const answers = await times(50, async (i) => {
        if (i % 5 === 0) return (await get('/patients?sort=name&limit=5')).status
        if (i % 5 === 1) return (await get('/auth/me')).status
        const mixed = `Mixed ${round}-${i}`
        if (i % 5 === 2) return (await post('/doctors', doctor({ name: mixed }))).status
        const { id } = await post('/patients', patient({ name: mixed }))
        return (await get(`/patients/${id}`)).at('name') === mixed ? 200 : mixed
      })
      expect(answers.filter((answer) => answer !== 200 && answer !== 201)).toEqual([])
    }
  })

  it('of many bookings of one slot exactly one succeeds', async () => {
    const { id: doctorId } = await post('/doctors', doctor())
    const people = await times(20, async () => (await post('/patients', patient())).id)
    const slot = { startsAt: '2040-01-02T09:00:00.000Z', endsAt: '2040-01-02T09:30:00.000Z' }
    const answers = await times(20, (i) => post('/appointments', { patientId: people[i], doctorId, ...slot }))
    expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array(19).fill(409)])
  })

  it('no acknowledged write is missing where PgBouncer loses prepared statements', async () => {
    const database = new URL(bouncer?.url ?? '')
    database.pathname = `/${name}`
    const prepares = new Program('src/runtime/node/main.ts', {
      DATABASE_URL: database.href,
      DATABASE_POOL_MAX: '20',
      PORT: '0',
      DATA_DIR: join(folder, 'data'),
      LOG_LEVEL: 'warn',
    })
    const address = await prepares.said(/http:\/\/127\.0\.0\.1:\d+/)
    const acknowledged: string[] = []
    for (let round = 0; round < 30; round += 1) {
      const answers = await times(10, () =>
        send('POST', `${address}/api/patients`, patient({ name: 'Acknowledged' }), token, {
          'Idempotency-Key': randomUUID(),
        }),
      )
      for (const answer of answers) if (answer.status === 201) acknowledged.push(answer.id)
    }
    const output = () => prepares.output
    prepares.kill()
    await prepares.exit()
    expect(acknowledged.length).toBeGreaterThan(30)
    const missing = []
    for (const id of acknowledged) if ((await get(`/patients/${id}`)).status !== 200) missing.push(id)
    expect(missing).toEqual([])
    expect(output()).toContain('DATABASE_PREPARE')
  })
  it('no statement is lost with one connection for all, and none is reported as lost', async () => {
    const alone = await pgBouncer(server, 1)
    const database = new URL(alone.url)
    database.pathname = `/${name}`
    expect(await losesPreparedStatements(database.href)).toBe(false)
    await alone.stop()
  })
})
