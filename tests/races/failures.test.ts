import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { afterAll, describe, expect, it } from 'vitest'
import { replaySpool, saveToSpool } from '../../src/audit/spool.node.ts'
import { isRowRejected, outcomesBySqlState } from '../../src/database/errors.ts'
import { migrateDatabase } from '../../src/database/migrate.ts'
import { toDatabaseProblem } from '../../src/http/database-problem.ts'
import { Api, patient, secret, world } from '../support/api.ts'
import { Network } from '../support/network.ts'
import { Program, send, until } from '../support/program.ts'

const { api, url, admin } = await world()

/** What the route of a caller answers where PostgreSQL fails a statement with this SQLSTATE. */
const failWith = (code: string) =>
  api.db
    .execute(sql.raw(`do $$ begin raise exception using errcode = '${code}', message = 'planted secret'; end $$`))
    .then(
      () => undefined,
      (error: unknown) => error,
    )

/** A code of each class of PostgreSQL 14 to 18 (appendix A), and what it is to the caller. */
const classes: [status: number, codes: string[]][] = [
  [500, ['03000', '09000', '0B000', '0F000', '0L000', '0P000', '0Z000', '10608', '20000', '21000', '24000', '25000']],
  [500, ['23502', '23514', '27000', '2B000', '2D000', '2F000', '34000', '38000', '39000', '3B000', '42601', '44000']],
  [500, ['54000', 'HV000', 'P0001', 'XX000', 'XX001']],
  [503, ['08006', '0A000', '25006', '25P02', '25P03', '26000', '28P01', '3D000', '3F000', '40001', '40P01', '42501']],
  [503, ['42703', '42704', '42883', '42P01', '42P05', '53100', '53200', '53300', '55P03', '57014', '57P01', '57P03']],
  [503, ['58000', '58030', '58P01', '72000', 'F0000']],
  [409, ['23503', '23505', '23P01']],
  [400, ['22001', '22003', '22021', '22P02', '22P05']],
]

describe('Errors of PostgreSQL', () => {
  it.each(classes.flatMap(([status, codes]) => codes.map((code) => [code, status] as const)))(
    'the error %s is a %i, and tells nothing of what was asked',
    async (code, status) => {
      const error = await failWith(code)
      const problem = toDatabaseProblem(error)
      expect(problem?.status).toBe(status)
      if (status === 503) expect(problem?.details.headers).toHaveProperty('Retry-After')
      expect(JSON.stringify([problem?.details.detail, problem?.details.errors])).not.toContain('planted')
      expect(isRowRejected(error)).toBe(/^2[23]/.test(code))
    },
  )

  it('every class and code in the table is one that PostgreSQL has', () => {
    const known = classes.flatMap(([, codes]) => codes)
    for (const row of Object.keys(outcomesBySqlState))
      expect(known.some((code) => code.startsWith(row)) || row === '25P04').toBe(true)
  })
})

it('a duplicate on an index that nobody has named is a conflict that says nothing of it', async () => {
  await api.db.execute(sql`create unique index planted_key on patients (address)`)
  await admin.post('/api/patients', patient({ address: 'only once' }))
  const second = await admin.post('/api/patients', patient({ address: 'only once' }))
  expect([second.status, second.at('type')]).toEqual([409, '/problems/conflict'])
  expect(second.text).not.toContain('planted')
  await api.db.execute(sql`drop index planted_key`)
})

describe('A database that takes no writes', async () => {
  const name = new URL(url).pathname.slice(1)
  const set = async (to: 'on' | 'off') => {
    await api.db.execute(sql.raw(`alter database "${name}" set default_transaction_read_only = ${to}`))
  }
  /** A process whose connections are as the database says. */
  const readOnly = async () => {
    await set('on')
    const process = await Api.start(url)
    return { process, headers: { Authorization: `Bearer ${admin.access}` } }
  }
  afterAll(() => set('off').catch(() => {}))
  const entry = {
    ...{ userId: null, role: null, ip: '', userAgent: null, requestId: 'full' },
    ...{ action: 'patient.read', resource: 'patient', status: 200 },
  }

  it('the service is not ready, sign-ins and writes are 503, and no read is lost to the audit log', async () => {
    const { id } = await admin.post('/api/patients', patient())
    const { process, headers } = await readOnly()
    const ready = await process.send('GET', '/readyz')
    expect([ready.status, ready.string('detail')]).toEqual([503, expect.stringContaining('takes no writes')])
    const login = await process.send('POST', '/api/auth/login', { email: admin.email, password: 'wrong password' })
    const written = await process.send('POST', '/api/patients', patient(), { headers })
    for (const answer of [login, written]) {
      expect(answer.status).toBe(503)
      expect(answer.headers.get('Retry-After')).toMatch(/^[1-9]\d*$/)
    }
    const reads = await Promise.all(
      Array.from({ length: 400 }, (_, i) =>
        process.send('GET', `/api/patients/${id}`, undefined, {
          headers: { ...headers, 'X-Request-Id': `read-only-${i}` },
        }),
      ),
    )
    expect(reads.filter(({ status }) => status !== 200)).toEqual([])
    expect(await process.env.auditWriter.flush()).toBe(400)
    expect(process.env.auditWriter.lostCount).toBe(0)

    const rows = process.env.auditWriter.takePending()
    await process.stop()
    await set('off')
    const after = await Api.start(url)
    expect(await after.env.auditWriter.writeRows(rows)).toBe(true)
    expect(await after.env.auditWriter.writeRows(rows)).toBe(true)
    const [found] = await after.db.execute<{ n: number }>(
      sql`select count(*)::int as n from audit where request_id like 'read-only-%'`,
    )
    expect(found?.n).toBe(400)
    await after.stop()
  })

  it('nothing is shown once no further audit entry can be kept', async () => {
    const { id } = await admin.post('/api/patients', patient())
    const stranger = await api.register('Stranger')
    const { process, headers } = await readOnly()
    for (let i = 0; i < 9_999; i += 1) process.env.auditWriter.enqueue(entry)
    await process.env.auditWriter.flush()
    const read = () => process.send('GET', `/api/patients/${id}`, undefined, { headers })
    expect((await read()).status).toBe(200)
    const refused = await read()
    expect([refused.status, refused.string('detail')]).toEqual([503, expect.stringContaining('audit log')])
    expect(refused.text).not.toContain(id)
    // Nor is anybody denied anything, which would leave an entry as well, and push the oldest out.
    const as = { token: stranger.access }
    for (const path of ['/api/users', `/api/patients/${id}`, `/api/doctors/${id}/slots`])
      expect((await process.send('GET', path, undefined, as)).status, path).toBe(503)
    expect((await process.send('GET', '/api/auth/me', undefined, as)).status).toBe(200)
    expect(process.env.auditWriter.pendingCount).toBe(10_000)
    expect(process.env.auditWriter.lostCount).toBe(0)
    process.env.auditWriter.takePending()
    expect((await process.send('GET', '/api/users', undefined, as)).status).toBe(403)
    process.env.auditWriter.takePending()
    await process.stop()
    await set('off')
  })

  it('nothing is shown once a few audit entries name too many patients', async () => {
    const { id } = await admin.post('/api/patients', patient())
    const { process, headers } = await readOnly()
    const read = async () => (await process.send('GET', `/api/patients/${id}`, undefined, { headers })).status
    const patientIds = Array<string>(10_000).fill(id)
    for (let i = 0; i < 80; i += 1) process.env.auditWriter.enqueue({ ...entry, patientIds })
    await process.env.auditWriter.flush()
    expect(await read()).toBe(200)
    for (let i = 0; i < 10; i += 1) process.env.auditWriter.enqueue({ ...entry, patientIds })
    await process.env.auditWriter.flush()
    expect(await read()).toBe(503)
    expect(process.env.auditWriter.takePending()).toHaveLength(91)
    expect(await read()).toBe(200)
    process.env.auditWriter.takePending()
    await process.stop()
    await set('off')
  })
})

describe('Entries that a process could not write before it stopped', () => {
  it('unwritten entries are kept where the settings say, and written at the next start', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hospital-spool-'))
    const network = new Network(Number(new URL(url).port || 5432))
    await network.open()
    const through = new URL(url)
    through.host = `127.0.0.1:${network.port}`
    const settings = { DATABASE_URL: through.href, PORT: '0', JWT_SECRET: secret, AUDIT_SPOOL_DIR: folder }
    const start = async () => {
      const program = new Program('src/runtime/node/main.ts', settings)
      return { program, address: await program.said(/http:\/\/127\.0\.0\.1:\d+/) }
    }
    const first = await start()
    const ids = Array.from({ length: 20 }, (_, i) => `kept-${i}-${crypto.randomUUID()}`)
    const read = (id: string) =>
      send('GET', `${first.address}/api/patients`, undefined, admin.access, { 'X-Request-Id': id })
    for (const answer of await Promise.all(ids.map(read))) expect(answer.status).toBe(200)
    await network.close()
    first.program.kill('SIGTERM')
    await first.program.exit()
    expect(first.program.output).toContain('audit entries are kept for the next start')
    expect(await readdir(folder)).toHaveLength(1)

    await network.open()
    const second = await start()
    await until('the entries to be written', async () => (await readdir(folder)).length === 0)
    const [found] = await api.db.execute<{ n: number }>(
      sql`select count(*)::int as n from audit where request_id like 'kept-%'`,
    )
    expect(found?.n).toBe(20)
    second.program.kill('SIGTERM')
    await second.program.exit()
    await network.close()
    await rm(folder, { recursive: true })
  })

  it('unwritten entries are in a file of its owner alone, and are written once by whichever process starts next', async () => {
    const folder = join(await mkdtemp(join(tmpdir(), 'hospital-spool-')), 'spool')
    for (let i = 0; i < 3; i += 1)
      api.env.auditWriter.enqueue({
        ...{ userId: admin.id, role: 'admin', ip: '192.0.2.1', userAgent: null, requestId: `spooled-${i}` },
        ...{ action: 'patient.list', resource: 'patient', status: 200 },
      })
    const file = await saveToSpool(folder, api.env.auditWriter.takePending())
    expect(await readdir(folder)).toHaveLength(1)
    expect([(await stat(file)).mode & 0o777, (await stat(folder)).mode & 0o777]).toEqual([0o600, 0o700])
    const { signal } = new AbortController()
    await Promise.all([
      replaySpool(folder, api.env.auditWriter, api.env.logger, signal),
      replaySpool(folder, api.env.auditWriter, api.env.logger, signal),
    ])
    expect(await readdir(folder)).toEqual([])
    const [found] = await api.db.execute<{ n: number }>(
      sql`select count(*)::int as n from audit where request_id like 'spooled-%'`,
    )
    expect(found?.n).toBe(3)
    expect(api.logged.filter((line) => line.includes('audit entries of an earlier process were written'))).not.toEqual(
      [],
    )
    await rm(folder, { recursive: true })
  })

  it('a file that cannot be read is told of, and stays', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hospital-spool-'))
    await mkdir(join(folder, `audit-${crypto.randomUUID()}.jsonl`))
    await replaySpool(folder, api.env.auditWriter, api.env.logger, new AbortController().signal)
    expect(api.logged.filter((line) => line.includes('could not be read'))).toHaveLength(1)
    expect(await readdir(folder)).toHaveLength(1)
    await rm(folder, { recursive: true })
  })

  it('stay in their file where the process stops before the database has taken them', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hospital-spool-'))
    const file = await saveToSpool(folder, ['{}'])
    const stopping = new AbortController()
    const auditWriter = {
      ...api.env.auditWriter,
      async writeRows() {
        stopping.abort()
        return false
      },
    }
    await replaySpool(folder, auditWriter, api.env.logger, stopping.signal)
    expect((await readdir(folder)).map((name) => join(folder, name))).toEqual([file])
    await rm(folder, { recursive: true })
  })
})

describe('Databases that cannot serve', () => {
  const unmigrated = new URL(url)
  unmigrated.pathname = `/unmigrated_${crypto.randomUUID().replaceAll('-', '')}`
  const name = unmigrated.pathname.slice(1)

  it('a database that does not exist, or was never migrated, is a 503 everywhere, and the log says which', async () => {
    const ask = async (detail: string) => {
      const process = await Api.start(unmigrated.href)
      const ready = await process.send('GET', '/readyz')
      expect([ready.status, ready.at('detail')]).toEqual([503, detail])
      expect(ready.text).not.toContain(name)
      const body = { email: 'a@example.org', password: 'a long password' }
      for (const path of ['/api/auth/login', '/api/auth/register']) {
        const answer = await process.send('POST', path, path.endsWith('login') ? body : { name: 'A', ...body })
        expect([answer.status, answer.headers.get('Retry-After')]).toEqual([503, expect.stringMatching(/^[1-9]/)])
      }
      const read = await process.send('GET', '/api/patients', undefined, { token: admin.access })
      expect(read.status).toBe(503)
      await process.stop()
    }
    await ask('The database does not exist (3D000).')
    await api.db.execute(sql.raw(`create database ${name}`))
    await ask('The database is not migrated.')
  })

  it('a database with a newer schema is ready, and is not migrated by older code, which says so', async () => {
    expect((await migrateDatabase(unmigrated.href)).appliedCount).toBeGreaterThan(0)
    const process = await Api.start(unmigrated.href)
    const future = (at: number) =>
      process.db.execute(sql`insert into drizzle.__drizzle_migrations (hash, created_at) values ('x', ${at})`)
    await future(4_000_000_000_000)
    expect((await process.send('GET', '/readyz')).status).toBe(200)
    const command = new Program('src/cli/migrate.ts', { DATABASE_URL: unmigrated.href })
    expect([await command.exit(), command.output]).toEqual([1, expect.stringContaining('is newer than this code')])
    await future(1)
    const other = new Program('src/cli/migrate.ts', { DATABASE_URL: unmigrated.href })
    expect([await other.exit(), other.output]).toEqual([1, expect.stringContaining('not of this project')])
    await process.stop()
    await api.db.execute(sql.raw(`drop database ${name} with (force)`))
  })

  it('a database that cannot be reached is logged once, with its name and without its password, and again when it can be', async () => {
    const network = new Network(Number(new URL(url).port || 5432))
    await network.open()
    await network.close()
    const through = new URL(url)
    through.host = `127.0.0.1:${network.port}`
    through.password = 'a-database-password'
    const program = new Program('src/runtime/node/main.ts', { DATABASE_URL: through.href, PORT: '0' })
    await program.said(/Cannot reach the database hospital_test\w+ at 127\.0\.0\.1:\d+ \(ECONNREFUSED\)\./)
    await network.open()
    await program.said(/The database can be used again/)
    expect(program.output).not.toContain('a-database-password')
    expect(program.output.match(/Cannot reach/g)).toHaveLength(1)
    program.kill()
    await program.exit()
    await network.close()
  })
})
