import { afterAll, describe, expect, inject, it } from 'vitest'
import { collector } from './support/collector.ts'
import { copyOf } from './support/database.ts'
import { ownFolder, Program, startNode } from './support/program.ts'

const folder = await ownFolder()
const database = await copyOf(inject('template'))
afterAll(() => database.stop())

const traceId = '0af7651916cd43dd8448eb211c80319c'
const parentId = 'b7ad6b7169203331'

async function start(endpoint: string, more: Record<string, string> = {}) {
  const settings = { OTEL_EXPORTER_OTLP_ENDPOINT: endpoint, ...more }
  const { program, url, stop } = await startNode(database.url, folder, settings)
  const ask = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
    fetch(url + path, { method, headers, signal: AbortSignal.timeout(20_000) })
  /** What the log tells of an answer. */
  const line = (answer: Response): Record<string, unknown> => {
    const lines = program.output.split('\n').filter((line) => line.startsWith('{'))
    return lines
      .map((line) => JSON.parse(line))
      .find(({ requestId }) => requestId === answer.headers.get('X-Request-Id'))
  }
  return { program, ask, stop, line }
}

describe('traces', () => {
  it('have a span of each request, and all are sent when the process has stopped', async () => {
    const { url, spans, resources, requests } = await collector(200)
    const { ask, stop, line } = await start(url, {
      OTEL_SERVICE_NAME: 'records',
      OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20let-me-in',
    })
    const secret = crypto.randomUUID()
    const continued = await ask(`/api/patients/${secret}?q=${secret}`, { traceparent: `00-${traceId}-${parentId}-01` })
    const begun = await ask('/healthz', {}, 'HEAD')
    const lost = await ask(`/${secret}`)
    // Its sender does not want it to be followed.
    await ask('/healthz', { traceparent: `00-${traceId}-${parentId}-00` })
    expect(await stop()).toBe(0)

    const inOrder = spans.toSorted((a, b) => (a.startTimeUnixNano < b.startTimeUnixNano ? -1 : 1))
    expect(inOrder).toMatchObject([
      { traceId, parentSpanId: parentId, name: 'GET /api/patients/:id', kind: 2 },
      { name: 'HEAD /healthz', kind: 2 },
      { name: 'GET', kind: 2 },
    ])
    expect(inOrder.map(({ attributes }) => attributes)).toEqual([
      {
        'http.request.method': 'GET',
        'url.scheme': 'http',
        'http.response.status_code': 401,
        'http.route': '/api/patients/:id',
      },
      {
        'http.request.method': 'HEAD',
        'url.scheme': 'http',
        'http.response.status_code': 200,
        'http.route': '/healthz',
      },
      { 'http.request.method': 'GET', 'url.scheme': 'http', 'http.response.status_code': 404 },
    ])
    expect(inOrder[1]).not.toHaveProperty('parentSpanId')
    for (const { startTimeUnixNano, endTimeUnixNano } of spans)
      expect(endTimeUnixNano).toBeGreaterThan(startTimeUnixNano)
    for (const [index, answer] of [continued, begun, lost].entries())
      expect(line(answer)).toMatchObject({ traceId: inOrder[index]?.traceId, spanId: inOrder[index]?.spanId })

    expect(resources[0]).toMatchObject({ 'service.name': 'records', 'service.version': expect.any(String) })
    expect(requests[0]).toMatchObject({ url: '/v1/traces', headers: { authorization: 'Bearer let-me-in' } })
  })

  it('mark as an error what is ours', async () => {
    const { url, spans } = await collector(200)
    const { ask, stop } = await start(url, { DATABASE_URL: 'postgres://127.0.0.1:1/none' })
    expect((await ask('/readyz')).status).toBe(503)
    expect(await stop()).toBe(0)
    expect(spans).toMatchObject([
      { status: { code: 2 }, attributes: { 'http.response.status_code': 503, 'error.type': '503' } },
    ])
    expect(Object.keys(spans[0]?.attributes ?? {})).toHaveLength(5)
  })

  it('are lost with a word in the log where the collector refuses them, and nothing else is', async () => {
    const { url } = await collector(400)
    const { program, ask, stop } = await start(url)
    expect((await ask('/healthz')).status).toBe(200)
    expect(await stop()).toBe(0)
    expect(program.output).toMatch(/"level":"warn","msg":"traces could not be sent","lost":1,/)
  })

  it.each(['does not answer', 'is not there'])('hold up no stop where the collector %s', async (what) => {
    const mute = await collector(undefined)
    const { program, ask, stop } = await start(what === 'is not there' ? 'http://127.0.0.1:1' : mute.url)
    await ask('/healthz')
    const begun = performance.now()
    expect(await stop()).toBe(0)
    expect(performance.now() - begun).toBeLessThan(8000)
    expect(program.output).toContain('"msg":"the last traces could not be sent in time"')
  })
})

describe('the setting', () => {
  it('has to be a URL', async () => {
    const program = new Program('src/runtime/node/main.ts', {
      PORT: '0',
      DATA_DIR: folder,
      OTEL_EXPORTER_OTLP_ENDPOINT: 'collector',
    })
    expect(await program.exit()).toBe(1)
    expect(program.output).toContain('OTEL_EXPORTER_OTLP_ENDPOINT: must be the URL of a collector')
  })
})
