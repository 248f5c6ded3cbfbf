import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { createServer } from 'node:net'
import { eq, sql } from 'drizzle-orm'
import { describe, expect, inject, it } from 'vitest'
import { auditLog } from '../src/audit/schema.ts'
import { appointments } from '../src/features/appointments/schema.ts'
import { users } from '../src/features/auth/schema.ts'
import { DoctorReplacement, doctors } from '../src/features/doctors/schema.ts'
import { mappings } from '../src/features/mappings/schema.ts'
import { PatientReplacement, patients } from '../src/features/patients/schema.ts'
import { reports } from '../src/features/reports/schema.ts'
import { Api, password, world } from './support/api.ts'
import { copyOf } from './support/database.ts'
import { ownFolder, Program } from './support/program.ts'

type Settings = Record<string, string>

/** Runs a command to its end. */
async function command(name: string, settings: Settings, args: string[] = [], input?: string) {
  const program = new Program(`src/cli/${name}.ts`, settings, args, input)
  const code = await program.exit()
  // Whatever happens, no stack, no statement and no secret.
  expect(program.output).not.toMatch(/^ +at |insert into|create table|s3cret/im)
  return { code, output: program.output.trim() }
}

/** Postgres servers that trust everyone, and the embedded one, take any password: so it can be looked for. */
const withSecret = (url: string) => {
  const secret = new URL(url)
  secret.password ||= 's3cret'
  return { DATABASE_URL: secret.href }
}

describe('npm run db:migrate', () => {
  it('npm run db:migrate does nothing where there is nothing to do, and needs no JWT_SECRET', async () => {
    const database = await copyOf(inject('template'))
    const { code, output } = await command('migrate', { ...withSecret(database.url), NODE_ENV: 'production' })
    await database.stop()
    expect(code).toBe(0)
    expect(output).toMatch(
      /^Nothing to do: the schema is the newest already in the database \w+ at 127\.0\.0\.1:\d+\.$/,
    )
  })

  it('npm run db:migrate says in a sentence which database it cannot reach', async () => {
    const { code, output } = await command('migrate', withSecret('postgres://127.0.0.1:1/hospital'))
    expect([code, output]).toEqual([1, 'Cannot reach the database hospital at 127.0.0.1:1 (ECONNREFUSED).'])
  })

  it('npm run db:migrate says in a sentence that TLS failed', async () => {
    const server = createServer((socket) => {
      // Yes to TLS, and then something else.
      socket.once('data', () =>
        socket.write('S', () => socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request'))),
      )
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const port = typeof address === 'object' ? address?.port : 0
    const { code, output } = await command(
      'migrate',
      withSecret(`postgres://127.0.0.1:${port}/hospital?sslmode=require`),
    )
    server.close()
    expect(code).toBe(1)
    expect(output).toMatch(/^No TLS with the database hospital at 127\.0\.0\.1:\d+ \(ERR_SSL_\w+\): is its certificate/)
  })

  it('npm run db:migrate names the settings at fault', async () => {
    const { code, output } = await command('migrate', { DATABASE_URL: 's3cret', NODE_ENV: 'production' })
    expect(code).toBe(1)
    expect(output).toContain('DATABASE_URL: must be a URL such as postgres://')
    const unset = await command('migrate', { NODE_ENV: 'production' })
    expect(unset.output).toContain('DATABASE_URL: is required')
    expect(unset.output).not.toContain('JWT_SECRET')
  })
})

/** Of a row what the API would take. */
const fieldsOf = (row: object, { shape }: { shape: object }) =>
  Object.fromEntries(Object.keys(shape).map((field) => [field, Reflect.get(row, field)]))

const tables = { users, patients, doctors, mappings, appointments, reports }

describe('npm run db:seed', async () => {
  const { url, api } = await world()
  const folder = await ownFolder()
  const seed = (...args: string[]) => command('seed', { ...withSecret(url), REPORTS_DIR: folder }, args)
  const count = async (table: keyof typeof tables) => api.db.$count(tables[table])

  it('npm run db:seed adds people that the API itself would take, with their audit entries', async () => {
    const { code, output } = await seed('--patients', '60', '--doctors', '7')
    expect(code).toBe(0)
    expect(output).toMatch(/^Added 7 doctors, 60 patients, \d+ mappings, \d+ appointments and 20 reports to /)
    expect([await count('patients'), await count('doctors')]).toEqual([60, 7])
    for (const row of await api.db.select().from(patients)) {
      const fields = fieldsOf(row, PatientReplacement)
      expect(PatientReplacement.parse(fields)).toEqual(fields)
      expect(row.createdAt.toISOString().slice(0, 10) >= row.dateOfBirth).toBe(true)
    }
    for (const row of await api.db.select().from(doctors)) {
      const fields = fieldsOf(row, DoctorReplacement)
      expect(DoctorReplacement.parse(fields)).toEqual(fields)
    }
    const [mapped] = await api.db.select({ patients: sql<number>`count(distinct patient_id)::int` }).from(mappings)
    expect(mapped?.patients).toBe(60)
    expect((await readdir(folder)).sort()).toEqual((await api.db.select().from(reports)).map(({ id }) => id).sort())
    // The constraints keep them apart; that they are within hours is asked of the function that a booking asks.
    const outside = await api.db.execute(sql`select 1 from appointments join doctors on doctors.id = doctor_id
      where not is_open(working_hours, time_zone, starts_at, ends_at) or (starts_at > now()) <> (status = 'scheduled')`)
    expect(outside).toEqual([])
    expect(await count('appointments')).toBeGreaterThan(60)
    // Each day of the four weeks past, today and the next four weeks has some; of what is over some did not take place.
    const [days] = await api.db.execute<{ days: number; today: number }>(sql`
      select count(distinct (starts_at at time zone 'America/New_York')::date)::int as days,
        count(*) filter (where (starts_at at time zone 'America/New_York')::date = (now() at time zone 'America/New_York')::date)::int as today
      from appointments where starts_at between now() - interval '27 days' and now() + interval '27 days'`)
    expect(days?.days).toBeGreaterThanOrEqual(54)
    expect(days?.today).toBeGreaterThan(0)
    const statuses = await api.db.execute<{ status: string }>(sql`select distinct status::text from appointments`)
    expect(statuses.map(({ status }) => status).sort()).toEqual(['cancelled', 'completed', 'no_show', 'scheduled'])
    const trail = await api.db.select().from(auditLog).where(eq(auditLog.userAgent, 'npm run db:seed'))
    const made =
      60 +
      7 +
      (await count('mappings')) +
      (await count('appointments')) +
      (await count('reports')) +
      (await count('users')) -
      1
    expect(trail).toHaveLength(made)
  })

  it('npm run db:seed makes the same data of the same seed: again it adds nothing, and more of the same when asked for more', async () => {
    const before = await api.db.select().from(patients).orderBy(patients.id)
    expect((await seed('--patients', '60', '--doctors', '7')).output).toMatch(/^Nothing to add/)
    expect((await seed('--patients', '80', '--doctors', '7')).output).toMatch(/^Added 0 doctors, 20 patients/)
    const after = await api.db.select().from(patients).orderBy(patients.id)
    expect(after).toEqual(expect.arrayContaining(before))
    expect((await seed('--patients', '5', '--doctors', '2', '--seed', '2')).output).toMatch(/^Added 2 doctors, 5 pat/)
  })

  it('npm run db:seed makes accounts that can sign in and see what is theirs', async () => {
    const { output } = await seed('--patients', '80', '--doctors', '7')
    const [, secret = ''] = /with the password "([^"]+)"/.exec(output) ?? []
    const seen = async (role: string) => {
      const [, email = ''] = new RegExp(`^ +${role} +(\\S+)$`, 'm').exec(output) ?? []
      const signedIn = await api.send('POST', '/api/auth/login', { email, password: secret })
      expect([signedIn.status, signedIn.at('user.role')]).toEqual([200, role])
      const list = await api.send('GET', '/api/patients', undefined, { token: signedIn.string('access') })
      return list.list().length
    }
    expect(await seen('patient')).toBe(1)
    expect(await seen('doctor')).toBeGreaterThan(1)
  })

  it('npm run db:seed makes an administrator only where there is no account', async () => {
    const empty = await copyOf(inject('template'))
    const { output } = await command('seed', { ...withSecret(empty.url), REPORTS_DIR: folder }, [
      '--patients',
      '1',
      '--doctors',
      '1',
    ])
    await empty.stop()
    expect(output).toContain('admin    admin@example.org')
    expect(await api.db.select().from(users).where(eq(users.email, 'admin@example.org'))).toEqual([])
  })

  it('npm run db:seed changes a production database only with the option for it', async () => {
    const production = { ...withSecret(url), NODE_ENV: 'production' }
    const refused = await command('seed', production, ['--seed', '3'])
    expect([refused.code, refused.output]).toEqual([1, expect.stringContaining('add --yes')])
    expect(
      (await command('seed', production, ['--seed', '3', '--patients', '1', '--doctors', '0', '--yes'])).code,
    ).toBe(0)
  })

  it('npm run db:seed refuses options with no meaning', async () => {
    for (const args of [['--patients', 'x'], ['--doctors', '-1'], ['--nonsense'], ['20']])
      expect(await seed(...args)).toEqual({ code: 1, output: expect.stringContaining('Usage: npm run db:seed') })
  })
})

describe('npm run create-admin', async () => {
  const { url, api } = await world()
  const create = (lines: string[], args: string[] = []) =>
    command('create-admin', withSecret(url), args, lines.map((line) => `${line}\n`).join(''))
  const someone = () => `${randomUUID()}@example.org`

  it('npm run create-admin makes an administrator who can sign in, and an audit entry', async () => {
    const email = someone()
    expect(await create(['  Grace  ', email.toUpperCase(), password])).toEqual({
      code: 0,
      output: expect.stringContaining(`${email} is now an administrator in the database `),
    })
    const signedIn = await api.send('POST', '/api/auth/login', { email, password })
    expect([signedIn.at('user.role'), signedIn.at('user.name')]).toEqual(['admin', 'Grace'])
    const [entry] = await api.db
      .select()
      .from(auditLog)
      .where(eq(auditLog.resourceId, signedIn.string('user.id')))
    expect(entry).toMatchObject({ action: 'user.create', userId: null, userAgent: 'npm run create-admin' })
    expect(JSON.stringify(entry)).not.toContain('argon2')
  })

  it('npm run create-admin says that an address is taken, and changes nothing of its account', async () => {
    const before = await api.db.select().from(users)
    const [taken] = before
    const answer = await create(['Grace', taken?.email ?? '', password])
    expect(answer).toEqual({ code: 1, output: `An account with the e-mail address ${taken?.email} exists already.` })
    expect(await api.db.select().from(users)).toEqual(before)
  })

  it('npm run create-admin applies the rules of registration', async () => {
    const outputs = await Promise.all([
      create(['', 'nobody', '']),
      create(['Grace', someone(), 'short']),
      create(['Grace', someone(), 'password']),
      create(['Grace Hopper', someone(), 'grace hopper']),
      create(['Grace', someone(), password, 'another one']),
      create(['Grace', someone()]),
      create([]),
    ])
    expect(outputs.map(({ code }) => code)).toEqual([1, 1, 1, 1, 1, 1, 1])
    expect(outputs[0]?.output.match(/^The [\w-]+( address)?: /gm)).toEqual([
      'The name: ',
      'The e-mail address: ',
      'The password: ',
    ])
    expect(outputs[1]?.output).toContain('at least 8 characters')
    expect(outputs[4]?.output).toBe('The two passwords are not the same.')
    expect(outputs[5]?.output).toContain('three lines')
  })

  it('npm run create-admin takes no password where others can read it', async () => {
    const email = someone()
    const answer = await create(['Grace', email, password], ['--password', password])
    expect(answer).toEqual({ code: 1, output: expect.stringContaining('takes no arguments') })
    expect(await api.db.select().from(users).where(eq(users.email, email))).toEqual([])
  })

  it('npm run create-admin keeps the first registration from making a second administrator', async () => {
    const empty = await copyOf(inject('template'))
    const settings = withSecret(empty.url)
    expect((await command('create-admin', settings, [], `Grace\n${someone()}\n${password}\n`)).code).toBe(0)
    const later = await Api.start(empty.url)
    const person = await later.register('Later')
    expect((await person.get('/api/auth/me')).at('role')).toBe('patient')
    await later.stop()
    await empty.stop()
  })
})
