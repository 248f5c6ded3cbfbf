import { describe, expect, it } from 'vitest'
import { nodeMetrics } from '../src/operation/metrics.node.ts'
import { noMetrics } from '../src/operation/metrics.ts'
import { doctor, password, world } from './support/api.ts'
import { sample } from './support/metrics.ts'

const { api, admin } = await world()

const scrape = async () => (await api.send('GET', '/metrics')).text
const counted = async (labels: string) => sample(await scrape(), `http_request_duration_seconds_count{${labels}}`)

describe('the figures', () => {
  it('count requests by method, pattern and status, and hold no id', async () => {
    const { id } = await admin.post('/api/doctors', doctor())
    for (const path of [id, id, crypto.randomUUID()]) await admin.get(`/api/doctors/${path}`)
    await api.send('BREW', '/no/such/path')
    expect(await counted('method="GET",route="/api/doctors/:id",status="200"')).toBe(2)
    expect(await counted('method="GET",route="/api/doctors/:id",status="404"')).toBe(1)
    expect(await counted('method="_OTHER",route="/*",status="404"')).toBe(1)
    expect(await scrape()).not.toMatch(/no.such.path|[0-9a-f]{8}-[0-9a-f]{4}-/)
  })

  it('sort durations into buckets that hold the shorter ones too', async () => {
    const metrics = nodeMetrics({ auditBacklog: () => 0, passwordsWaiting: () => 0 })
    for (const seconds of [0.001, 0.005, 0.2, 60]) metrics.answered('GET', '/', 200, seconds)
    const text = (await metrics.exposition?.()) ?? ''
    const labels = 'method="GET",route="/",status="200"'
    const bucket = (le: string) => sample(text, `http_request_duration_seconds_bucket{le="${le}",${labels}}`)
    expect(['0.005', '0.1', '0.25', '10', '+Inf'].map(bucket)).toEqual([2, 2, 3, 3, 4])
    expect(sample(text, `http_request_duration_seconds_sum{${labels}}`)).toBeCloseTo(60.206)
    expect(sample(text, `http_request_duration_seconds_count{${labels}}`)).toBe(4)
  })

  it('count sign-ins that fail, and not those that succeed', async () => {
    const before = sample(await scrape(), 'login_failures_total')
    const { email } = await api.register('Lo Login')
    const signIn = (attempt: string) => api.send('POST', '/api/auth/login', { email, password: attempt })
    const statuses = [await signIn('not the password'), await signIn(password), await signIn('nor is this')]
    expect(statuses.map(({ status }) => status)).toEqual([401, 200, 401])
    expect(sample(await scrape(), 'login_failures_total') - before).toBe(2)
  })

  it('tell what of the trail is still to be written', async () => {
    await api.env.audit.flush()
    expect(sample(await scrape(), 'audit_backlog_entries')).toBe(0)
    await admin.get('/api/patients')
    expect(sample(await scrape(), 'audit_backlog_entries')).toBe(1)
    await api.env.audit.flush()
    expect(sample(await scrape(), 'audit_backlog_entries')).toBe(0)
  })

  it('tell how many passwords wait', async () => {
    const { passwords } = api.env
    const hashes = Array.from({ length: 6 }, () => passwords.hash(password))
    const waiting = sample(await scrape(), 'password_hashes_waiting')
    await Promise.all(hashes)
    expect(waiting).toBeGreaterThan(0)
    expect(sample(await scrape(), 'password_hashes_waiting')).toBe(0)
  })

  it('tell of the connections to the database', async () => {
    const pool = () => ({ inUse: 3, waiting: 2, max: 10 })
    const { exposition } = nodeMetrics({ auditBacklog: () => 0, passwordsWaiting: () => 0, pool })
    const text = (await exposition?.()) ?? ''
    const names = ['db_pool_connections_in_use', 'db_pool_queries_waiting', 'db_pool_connections_max']
    expect(names.map((name) => sample(text, name))).toEqual([3, 2, 10])
  })

  it('tell how Node itself is', async () => {
    const text = await scrape()
    expect(sample(text, 'process_resident_memory_bytes')).toBeGreaterThan(1e6)
    expect(text).toContain('\nnodejs_eventloop_lag_p99_seconds ')
  })
})

describe('GET /metrics', () => {
  it('is text that no cache keeps', async () => {
    const { status, headers } = await api.send('GET', '/metrics')
    expect([status, headers.get('Content-Type'), headers.get('Cache-Control')]).toEqual([
      200,
      'text/plain; version=0.0.4; charset=utf-8',
      'no-store',
    ])
  })

  it('needs the METRICS_TOKEN where there is one, before anything else', async () => {
    const env = { config: { ...api.env.config, METRICS_TOKEN: 'token-of-operators' } }
    const ask = (path: string, token?: string) => api.send('GET', path, undefined, { env, token })
    for (const token of [undefined, 'token', 'token-of-operator', 'token-of-operators-', admin.access]) {
      const refused = await ask('/metrics?x=1', token)
      expect([refused.status, refused.headers.get('WWW-Authenticate')]).toEqual([401, 'Bearer'])
    }
    expect((await ask('/metrics', 'token-of-operators')).status).toBe(200)
    expect((await ask('/metrics?x=1', 'token-of-operators')).faults).toEqual(['x'])
  })

  it('is not there where no figures are kept', async () => {
    expect((await api.send('GET', '/metrics', undefined, { env: { metrics: noMetrics } })).status).toBe(404)
  })
})
