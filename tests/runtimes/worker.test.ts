import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { eq, inArray, sql } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { auditLog } from '../../src/audit/schema.ts'
import type { Database } from '../../src/context.ts'
import { closeDatabase, connectDatabase } from '../../src/database/client.ts'
import { readServedUrl } from '../../src/database/embedded/pglite.ts'
import { nodePasswordHasher } from '../../src/features/auth/passwords.node.ts'
import { users } from '../../src/features/auth/schema.ts'
import { type Answer, doctor, password, patient } from '../support/api.ts'
import { ownFolder, Program, send, until } from '../support/program.ts'

const folder = await ownFolder()
// Beyond what the binding allows of one address: the setting, which holds in each isolate, lets it through.
const limits = { REQUESTS_PER_ADDRESS_MIN: '100000' }
const settings = { PORT: '0', DATA_DIR: join(folder, 'data'), LOG_LEVEL: 'warn', ...limits }
const worker = new Program('src/cli/dev-worker.ts', settings)
let url = ''
let db: Database

const post = (path: string, body: unknown, token?: string) => send('POST', url + path, body, token)
const get = (path: string, token: string) => send('GET', url + path, undefined, token)
const register = (name: string) => post('/api/auth/register', { name, email: `${name}@example.org`, password })

let admin: Answer
let token = ''

beforeAll(async () => {
  const ready = await worker.said(/Ready on http:\/\/127\.0\.0\.1:\d+/, 90)
  url = ready.replace('Ready on ', '')
  db = connectDatabase((await readServedUrl(settings.DATA_DIR)) ?? '', { maxConnections: 1 })
  admin = await register('ada')
  token = admin.string('access')
}, 100_000)

afterAll(() => closeDatabase(db))

describe('the Worker', () => {
  it('registers, signs in, writes and reads', async () => {
    expect([admin.status, admin.at('user.role')]).toEqual([201, 'admin'])
    const signedIn = await post('/api/auth/login', { email: 'ada@example.org', password })
    expect(signedIn.status).toBe(200)
    const created = await post('/api/patients', patient(), signedIn.string('access'))
    expect(created.status).toBe(201)
    const read = await get(`/api/patients/${created.id}`, token)
    expect(read.body).toEqual(created.body)
    const { id: doctorId } = await post('/api/doctors', doctor(), token)
    expect((await post('/api/mappings', { patientId: created.id, doctorId }, token)).status).toBe(201)
    expect((await get(`/api/patients/${created.id}/doctors`, token)).each('id')).toEqual([doctorId])
    expect((await post('/api/patients', {}, token)).faults).toEqual(['name', 'dateOfBirth', 'gender'])
    expect((await send('GET', `${url}/readyz`)).status).toBe(200)
  })

  it('reads the password hashes of Node, and Node reads its own', async () => {
    // Beyond ASCII, where encodings would differ.
    const odd = 'pässwörd – 密碼 🏥'
    const made = await post('/api/auth/register', { name: 'Odd', email: 'odd@example.org', password: odd })
    const [stored] = await db
      .select()
      .from(users)
      .where(eq(users.id, made.string('user.id')))
    expect(await nodePasswordHasher.verify(stored?.passwordHash ?? '', odd)).toBe(true)
    expect(await nodePasswordHasher.verify(stored?.passwordHash ?? '', `${odd}!`)).toBe(false)

    const passwordHash = await nodePasswordHasher.hash(`${odd} of Node`)
    await db
      .update(users)
      .set({ passwordHash })
      .where(eq(users.id, made.string('user.id')))
    const signIn = (attempt: string) => post('/api/auth/login', { email: 'odd@example.org', password: attempt })
    expect((await signIn(`${odd} of Node`)).status).toBe(200)
    expect((await signIn(odd)).status).toBe(401)
  })

  it('takes right passwords however many come at once, and of wrong ones no more than the limit', async () => {
    await register('crowd')
    const signIns = (word: string) =>
      Promise.all(
        Array.from({ length: 60 }, async () => {
          const { status } = await post('/api/auth/login', { email: 'crowd@example.org', password: word })
          return status
        }),
      )
    expect(await signIns(password)).toEqual(Array(60).fill(200))
    const wrong = await signIns('wrong password')
    expect(wrong.toSorted()).toEqual([...Array(10).fill(401), ...Array(50).fill(429)])
  })

  it('writes the trail of reads behind its answers', async () => {
    const { id } = await post('/api/patients', patient(), token)
    const read = await get(`/api/patients/${id}`, token)
    const requestId = read.headers.get('X-Request-Id') ?? ''
    const entries = () => db.select().from(auditLog).where(eq(auditLog.requestId, requestId))
    await until('the row of the trail', async () => (await entries()).length > 0)
    expect(await entries()).toMatchObject([{ action: 'patient.read', patientId: id, status: 200 }])
  })

  it('writes it whatever the client calls itself', async () => {
    // As bytes of UTF-8; the trail keeps 500 characters, the last of which is half of this one.
    const name = Buffer.from(`${'x'.repeat(499)}\u{1f600}`).toString('latin1')
    const { status, headers } = await fetch(`${url}/api/patients`, {
      headers: { Authorization: `Bearer ${token}`, 'User-Agent': name },
    })
    expect(status).toBe(200)
    const entries = () =>
      db
        .select()
        .from(auditLog)
        .where(eq(auditLog.requestId, headers.get('X-Request-Id') ?? ''))
    await until('the row of the trail', async () => (await entries()).length > 0)
    expect(await entries()).toMatchObject([{ action: 'patient.list', userAgent: `${'x'.repeat(499)}\ufffd` }])
  })

  it('keeps the rows that it cannot write, shows nothing meanwhile that would leave one, and writes them once it can', async () => {
    const { id } = await post('/api/patients', patient(), token)
    const read = async () => {
      const { status, headers } = await get(`/api/patients/${id}`, token)
      return { status, requestId: headers.get('X-Request-Id') ?? '' }
    }
    await db.execute(sql`alter table audit rename to audit_elsewhere`)
    const answers = await Promise.all(Array.from({ length: 60 }, read))
    const shown = answers.filter(({ status }) => status === 200).map(({ requestId }) => requestId)
    expect(shown.length).toBeGreaterThan(0)
    await until('nothing to be shown', async () => (await read()).status === 503)
    for (let again = 0; again < 5; again += 1) expect((await read()).status).toBe(503)

    await db.execute(sql`alter table audit_elsewhere rename to audit`)
    expect((await read()).status).toBe(200)
    const entries = () => db.select({ id: auditLog.id }).from(auditLog).where(inArray(auditLog.requestId, shown))
    await until('every row of the trail', async () => (await entries()).length === shown.length)
  })

  it('shares nothing between requests that belongs to one', async () => {
    const names = Array.from({ length: 60 }, (_, index) => `Pat ${index}`)
    const alone: Answer[] = []
    for (const name of names.slice(0, 20)) alone.push(await post('/api/patients', patient({ name }), token))
    const together = await Promise.all(names.slice(20).map((name) => post('/api/patients', patient({ name }), token)))
    const made = [...alone, ...together]
    expect(made.map((answer) => answer.at('name'))).toEqual(names)
    const read = await Promise.all(made.map(({ id }) => get(`/api/patients/${id}`, token)))
    expect(read.map((answer) => answer.at('name'))).toEqual(names)
    const ids = read.map((answer) => answer.headers.get('X-Request-Id') ?? '')
    const entries = () => db.select({ id: auditLog.id }).from(auditLog).where(inArray(auditLog.requestId, ids))
    await until('every row of the trail', async () => (await entries()).length === names.length)
    expect(worker.output).not.toMatch(/Cannot perform I\/O|uncaught|Error:/i)
  })

  it('writes calendars', async () => {
    const { id } = await post('/api/doctors', doctor({ name: 'Dr. Feed' }), token)
    const made = await send('POST', `${url}/api/doctors/${id}/calendar-feed`, undefined, token)
    const calendar = await send('GET', url + made.string('url'))
    expect([calendar.status, calendar.headers.get('Content-Type')]).toEqual([200, 'text/calendar; charset=utf-8'])
    expect(calendar.text).toContain('X-WR-CALNAME:Appointments of Dr. Feed\r\n')
  })

  it('serves its documentation, and no other file of Swagger UI', async () => {
    const page = await send('GET', `${url}/docs`)
    expect([page.status, page.headers.get('Content-Type')]).toEqual([200, 'text/html; charset=UTF-8'])
    for (const [, file = ''] of page.text.matchAll(/(?:src|href)="(\/docs\/[^"]+)"/g))
      expect((await send('GET', url + file)).text.length).toBeGreaterThan(500)
    expect((await send('GET', `${url}/swagger-ui.css`)).status).toBe(404)
    expect((await send('GET', `${url}/`)).at('documentation')).toBe('/docs')
  })

  it('counts requests by the rate limiting binding, whose limit is in wrangler.toml', async () => {
    // Its minute may end meanwhile, once.
    let refused: Answer | undefined
    for (let sent = 0; sent < 250 && !refused; sent += 1) {
      const answer = await send('GET', `${url}/`)
      if (answer.status === 429) refused = answer
    }
    expect([refused?.status, refused?.headers.get('Retry-After')]).toEqual([429, '60'])
    expect((await send('GET', `${url}/healthz`)).status).toBe(200)
    expect((await get('/api/doctors', token)).status).toBe(200)
  })

  it('keeps no figures', async () => {
    expect((await send('GET', `${url}/metrics`)).status).toBe(404)
  })

  it('never prints its secret', async () => {
    const secret = await readFile(join(settings.DATA_DIR, 'jwt-secret'), 'utf8')
    expect(secret.length).toBeGreaterThan(32)
    expect(worker.output).not.toContain(secret)
  })

  it('stops in order when it is told to, with all it has started, and leaves the data to npm start', async () => {
    await closeDatabase(db)
    worker.kill()
    expect(await worker.exit()).toBe(0)
    await expect(send('GET', `${url}/healthz`)).rejects.toThrow()

    const node = new Program('src/runtime/node/main.ts', settings)
    url = (await node.said(/http:\/\/127\.0\.0\.1:\d+/)).trim()
    // Both sign with the same secret.
    expect((await get('/api/auth/me', token)).at('email')).toBe('ada@example.org')
    node.kill()
    expect(await node.exit()).toBe(0)
  })
})
