import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import manifest from '../package.json' with { type: 'json' }
import { closeDatabase, connectDatabase } from '../src/database/client.ts'
import { createNodeMetrics } from '../src/observability/metrics.node.ts'
import { noMetrics } from '../src/observability/metrics.ts'
import type { GaugeSources } from '../src/observability/prometheus.node.ts'
import { createReadinessCheck } from '../src/observability/readiness.ts'
import { doctor, password, patience, world } from './support/api.ts'
import { sample } from './support/metrics.ts'
import { statementsOf } from './support/statements.ts'

const { api, admin } = await world()

/** The figures of a process of which nothing is known. */
const metricsOf = (levels: Partial<GaugeSources> = {}) =>
  createNodeMetrics({
    auditBacklog: () => 0,
    auditLost: () => 0,
    passwordsWaiting: () => 0,
    ready: async () => true,
    ...levels,
  })

const scrape = async () => (await api.send('GET', '/metrics')).text
const counted = async (labels: string) => sample(await scrape(), `http_request_duration_seconds_count{${labels}}`)

describe('Metrics', () => {
  it('metrics count requests by method, pattern and status, and hold no id', async () => {
    const { id } = await admin.post('/api/doctors', doctor())
    for (const path of [id, id, crypto.randomUUID()]) await admin.get(`/api/doctors/${path}`)
    await api.send('BREW', '/no/such/path')
    expect(await counted('method="GET",route="/api/doctors/:id",status="200"')).toBe(2)
    expect(await counted('method="GET",route="/api/doctors/:id",status="404"')).toBe(1)
    expect(await counted('method="_OTHER",route="/*",status="404"')).toBe(1)
    expect(await scrape()).not.toMatch(/no.such.path|[0-9a-f]{8}-[0-9a-f]{4}-/)
  })

  it('metrics have as many series whatever paths are asked for', async () => {
    const ask = (i: number) => [
      api.send('GET', `/no/such/${i}`),
      api.send(`M${i}`, '/api/patients'),
      admin.get(`/api/patients?made${i}=up`),
      admin.get(`/api/patients/${crypto.randomUUID()}/no${i}`),
    ]
    const series = async () => (await scrape()).split('\n').length
    await Promise.all(ask(0))
    const before = await series()
    for (let i = 1; i < 250; i += 1) await Promise.all(ask(i))
    expect(await series()).toBe(before)
  })

  it('metrics sort durations into buckets that hold the shorter ones too', async () => {
    const metrics = metricsOf()
    for (const seconds of [0.001, 0.005, 0.2, 60]) metrics.recordRequest('GET', '/', 200, seconds)
    const text = (await metrics.exposition?.()) ?? ''
    const labels = 'method="GET",route="/",status="200"'
    const bucket = (le: string) => sample(text, `http_request_duration_seconds_bucket{le="${le}",${labels}}`)
    expect(['0.005', '0.1', '0.25', '10', '+Inf'].map(bucket)).toEqual([2, 2, 3, 3, 4])
    expect(sample(text, `http_request_duration_seconds_sum{${labels}}`)).toBeCloseTo(60.206)
    expect(sample(text, `http_request_duration_seconds_count{${labels}}`)).toBe(4)
  })

  it('metrics count sign-ins that fail, and not those that succeed', async () => {
    const before = sample(await scrape(), 'login_failures_total')
    const { email } = await api.register('Lo Login')
    const signIn = (attempt: string) => api.send('POST', '/api/auth/login', { email, password: attempt })
    const statuses = [await signIn('not the password'), await signIn(password), await signIn('nor is this')]
    expect(statuses.map(({ status }) => status)).toEqual([401, 200, 401])
    expect(sample(await scrape(), 'login_failures_total') - before).toBe(2)
  })

  it('metrics show how many audit entries are still to be written', async () => {
    await api.env.auditWriter.flush()
    expect(sample(await scrape(), 'audit_backlog_entries')).toBe(0)
    await admin.get('/api/patients')
    expect(sample(await scrape(), 'audit_backlog_entries')).toBe(1)
    await api.env.auditWriter.flush()
    expect(sample(await scrape(), 'audit_backlog_entries')).toBe(0)
  })

  it('metrics count the audit entries that were lost', async () => {
    const lost = async () => sample(await scrape(), 'audit_entries_lost_total')
    const before = await lost()
    const entry = { action: 'patient.read', resource: 'patient', status: 200, role: null, ip: '', userAgent: null }
    for (const userId of ['no uuid', null])
      api.env.auditWriter.enqueue({ ...entry, requestId: crypto.randomUUID(), userId })
    await api.env.auditWriter.flush()
    expect((await lost()) - before).toBe(1)
  })

  it('metrics count faults of ours from zero', async () => {
    const { recordRequest, exposition } = metricsOf()
    const errors = async () => sample((await exposition?.()) ?? '', 'http_server_errors_total')
    expect(await errors()).toBe(0)
    for (const status of [200, 404, 499, 500, 503, 503]) recordRequest('GET', `/${status % 2}`, status, 0.1)
    expect(await errors()).toBe(3)
  })

  it('metrics show whether requests can be sent here, with at most one question to the database in five seconds', async () => {
    expect(sample(await scrape(), 'service_ready')).toBe(1)
    const away = connectDatabase('postgres://nobody@127.0.0.1:1/none', { maxConnections: 1, statementTimeoutMs: 500 })
    const text = (await metricsOf({ ready: createReadinessCheck(away) }).exposition?.()) ?? ''
    expect(sample(text, 'service_ready')).toBe(0)
    await closeDatabase(away)

    const db = connectDatabase(api.env.config.DATABASE_URL ?? '', {
      maxConnections: 1,
      statementTimeoutMs: patience,
      maxWaitMs: patience,
    })
    const isReady = createReadinessCheck(db)
    const { result, sent } = await statementsOf(db, () => Promise.all([isReady(), isReady(), isReady()]))
    expect(result).toEqual([true, true, true])
    expect(sent).toHaveLength(1)
    await closeDatabase(db)
  })

  it('metrics show the version and commit of the code, and since when it runs', async () => {
    const { version } = manifest
    expect(sample(await scrape(), `build_info{version="${version}",commit="unknown"}`)).toBe(1)
    const text = (await metricsOf({ commit: '0123abc' }).exposition?.()) ?? ''
    expect(sample(text, `build_info{version="${version}",commit="0123abc"}`)).toBe(1)
    const started = sample(text, 'process_start_time_seconds')
    expect(started).toBeGreaterThan(Date.now() / 1000 - 3600)
    expect(started).toBeLessThanOrEqual(Math.ceil(Date.now() / 1000))
  })

  it('metrics are those that docs/operations.md describes', async () => {
    const [, guide = ''] = /## Metrics\n([\s\S]*?)\n## /.exec(readFileSync('docs/operations.md', 'utf8')) ?? []
    const told = new Set(
      guide.match(/\b(http|db|audit|login|report|password|service|build|process|nodejs)(_[a-z0-9]+)+/g),
    )
    const text = await scrape()
    const kept = [...text.matchAll(/^# TYPE (\S+) (\w+)/gm)].flatMap(([, name = '', type]) =>
      type === 'histogram' ? [name, `${name}_bucket`, `${name}_count`] : [name],
    )
    expect([...told].filter((name) => !kept.includes(name))).toEqual([])
    const own = kept.filter((name) => !/^(process|nodejs)_|_(bucket|count)$/.test(name))
    expect(own.filter((name) => !told.has(name))).toEqual([])
  })

  it('metrics show how many passwords wait', async () => {
    const { passwordHasher } = api.env
    const hashes = Array.from({ length: 6 }, () => passwordHasher.hash(password))
    const waiting = sample(await scrape(), 'password_hashes_waiting')
    await Promise.all(hashes)
    expect(waiting).toBeGreaterThan(0)
    expect(sample(await scrape(), 'password_hashes_waiting')).toBe(0)
  })

  it('metrics show the connections to the database', async () => {
    const pool = () => ({ inUse: 3, waiting: 2, max: 10 })
    const { exposition } = metricsOf({ pool })
    const text = (await exposition?.()) ?? ''
    const names = ['db_pool_connections_in_use', 'db_pool_queries_waiting', 'db_pool_connections_max']
    expect(names.map((name) => sample(text, name))).toEqual([3, 2, 10])
  })

  it('metrics show the state of Node itself', async () => {
    const text = await scrape()
    expect(sample(text, 'process_resident_memory_bytes')).toBeGreaterThan(1e6)
    expect(text).toContain('\nnodejs_eventloop_lag_p99_seconds ')
  })
})

describe('GET /metrics', () => {
  it('GET /metrics answers with text that no cache keeps', async () => {
    const { status, headers } = await api.send('GET', '/metrics')
    expect([status, headers.get('Content-Type'), headers.get('Cache-Control')]).toEqual([
      200,
      'text/plain; version=0.0.4; charset=utf-8',
      'no-store',
    ])
  })

  it('GET /metrics needs the METRICS_TOKEN where there is one, before anything else', async () => {
    const env = { config: { ...api.env.config, METRICS_TOKEN: 'token-of-operators' } }
    const ask = (path: string, token?: string) => api.send('GET', path, undefined, { env, token })
    for (const token of [undefined, 'token', 'token-of-operator', 'token-of-operators-', admin.access]) {
      const refused = await ask('/metrics?x=1', token)
      expect([refused.status, refused.headers.get('WWW-Authenticate')]).toEqual([401, 'Bearer'])
    }
    expect((await ask('/metrics', 'token-of-operators')).status).toBe(200)
    expect((await ask('/metrics?x=1', 'token-of-operators')).faults).toEqual(['x'])
  })

  it('GET /metrics is a 404 where no metrics are kept', async () => {
    expect((await api.send('GET', '/metrics', undefined, { env: { metrics: noMetrics } })).status).toBe(404)
  })
})
