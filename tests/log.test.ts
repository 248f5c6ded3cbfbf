import { Writable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { parseConfig } from '../src/config.ts'
import { closeDatabase, connectDatabase } from '../src/database/client.ts'
import { createLineWriter, createNodeLogger } from '../src/observability/logger.node.ts'
import { createPrettyLogger } from '../src/observability/logger.pretty.node.ts'
import { createJsonLogger } from '../src/observability/logger.ts'
import { type Answer, secret, world } from './support/api.ts'
import { ownFolder, Program, send, startNode, until } from './support/program.ts'

const { api, admin, url } = await world()
const folder = await ownFolder()

/** The lines about a request, by what it was answered. */
const linesOf = (answer: Answer): Record<string, unknown>[] =>
  api.logged.map((line) => JSON.parse(line)).filter(({ requestId }) => requestId === answer.headers.get('X-Request-Id'))

const moment = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
const traceId = '0af7651916cd43dd8448eb211c80319c'
const spanId = 'b7ad6b7169203331'

describe('Log lines of requests', () => {
  it('a request is one line, with the pattern of its route and neither its id nor its query', async () => {
    const { id } = await admin.post('/api/patients', { name: 'Lo Logged', dateOfBirth: '1980-01-01', gender: 'other' })
    const line = { time: moment, level: 'info', requestId: expect.any(String), ms: expect.any(Number) }
    expect(linesOf(await admin.get('/api/patients?q=Lo%20Logged&limit=1'))).toEqual([
      { ...line, method: 'GET', route: '/api/patients', status: 200, userId: admin.id },
    ])
    expect(linesOf(await admin.get(`/api/patients/${id}/`))).toEqual([
      { ...line, method: 'GET', route: '/api/patients/:id', status: 200, userId: admin.id },
    ])
    expect(linesOf(await api.send('GET', '/no/such/path?name=Lo%20Logged'))).toEqual([
      { ...line, method: 'GET', route: '/*', status: 404 },
    ])
    expect(api.logged.join('\n')).not.toMatch(/Lo.Logged|no.such.path/)
  })

  it('a request is logged with the trace it belongs to', async () => {
    const answer = await admin.get('/api/auth/me', { traceparent: `00-${traceId}-${spanId}-01` })
    expect(linesOf(answer)).toMatchObject([{ traceId }])
  })

  it.each([
    `00-${traceId}-${spanId}`,
    `00-${traceId}-${spanId}-01-more`,
    `01-${traceId}-${spanId}-01`,
    `ff-${traceId}-${spanId}-01`,
    `00-${traceId.toUpperCase()}-${spanId}-01`,
    `00-${'0'.repeat(32)}-${spanId}-01`,
    `00-${traceId}-${'0'.repeat(16)}-01`,
    `00-${traceId.slice(1)}-${spanId}-01`,
    '"},{"level":"error',
  ])('a request belongs to no trace by the header %j', async (traceparent) => {
    const [line] = linesOf(await admin.get('/api/auth/me', { traceparent }))
    expect(line).not.toHaveProperty('traceId')
  })
})

describe('Log lines of errors', () => {
  const traceparent = `00-${traceId}-${spanId}-00`

  it('an error is in the log with cause and stack, and in the answer as the id of the request', async () => {
    const assets = async () => {
      throw new Error('it broke', { cause: new TypeError('the reason') })
    }
    const options = { env: { docsAssets: assets }, headers: { traceparent } }
    const answer = await api.send('GET', '/docs/swagger-ui.css', undefined, options)
    expect([answer.status, answer.at('instance')]).toEqual([500, answer.headers.get('X-Request-Id')])
    expect(answer.text).not.toMatch(/it broke|the reason|log\.test/)
    const stack = expect.stringMatching(/^Error: it broke\n +at .*log\.test\.ts/)
    const cause = { name: 'TypeError', stack: expect.stringMatching(/^TypeError: the reason\n +at /) }
    expect(linesOf(answer)).toMatchObject([
      { level: 'error', traceId, err: { name: 'Error', stack, cause } },
      { level: 'info', traceId, status: 500 },
    ])
  })

  it('an error of a database that is away names what went wrong and not the statement', async () => {
    const db = connectDatabase('postgres://hospital:a-database-password@127.0.0.1:1/none', { maxConnections: 1 })
    const answer = await api.send('GET', '/readyz', undefined, { env: { db } })
    await closeDatabase(db)
    expect(answer.status).toBe(503)
    const lines = linesOf(answer)
    expect(lines[0]).toMatchObject({ level: 'error', err: { stack: expect.stringMatching(/^ +at /) } })
    expect(JSON.stringify(lines)).toContain('ECONNREFUSED')
    expect(JSON.stringify(lines)).not.toMatch(/a-database-password|__drizzle_migrations|select/)
  })
})

/** A stream that keeps what is written to it; a slow one takes nothing before `read`. */
function sink({ slow = false } = {}) {
  const writes: string[] = []
  let read = () => {}
  const stream = new Writable({
    decodeStrings: false,
    write(chunk, _, done) {
      writes.push(String(chunk))
      if (slow) read = done
      else done()
    },
  })
  const once = () => {
    const done = read
    read = () => {}
    done()
  }
  return { stream, writes, read: once }
}

describe('The output of lines', () => {
  it('lines of one turn of the event loop are written at once, whole and in order', async () => {
    const { stream, writes } = sink()
    const { write } = createLineWriter(stream)
    for (const line of ['a', 'b', 'c']) write(line)
    expect(writes).toEqual([])
    await setImmediate()
    write('d')
    await setImmediate()
    expect(writes).toEqual(['a\nb\nc\n', 'd\n'])
  })

  it('all lines are written before a flush ends', async () => {
    const { stream, writes } = sink()
    const { write, flushAndWait } = createLineWriter(stream)
    write('a')
    await flushAndWait()
    expect(writes.join('')).toBe('a\n')
  })

  it('a flush waits for the lines where the reader is slow', async () => {
    const { stream, writes, read } = sink({ slow: true })
    const { write, flushAndWait } = createLineWriter(stream)
    write('a')
    await setImmediate()
    write('b')
    let done = false
    const flushing = flushAndWait().then(() => {
      done = true
    })
    await setImmediate()
    expect([done, writes]).toEqual([false, ['a\n']])
    for (let count = 0; count < 3; count += 1) {
      read()
      await setImmediate()
    }
    await flushing
    expect(writes.join('')).toBe('a\nb\n')
  })

  it('a flush does not wait for ever for the lines', async () => {
    const { stream } = sink({ slow: true })
    const { write, flushAndWait } = createLineWriter(stream)
    write('a')
    await flushAndWait()
    expect(stream.writableLength).toBeGreaterThan(0)
  })

  it('lines are dropped where nobody reads, and their number is logged', async () => {
    const { stream, writes, read } = sink({ slow: true })
    const { write } = createLineWriter(stream)
    const mebibyte = 'x'.repeat(1024 * 1024)
    for (let count = 0; count < 20; count += 1) {
      write(mebibyte)
      await setImmediate()
    }
    expect(stream.writableLength).toBeLessThan(10 * 1024 * 1024)
    for (let count = 0; count < 20; count += 1) {
      read()
      await setImmediate()
    }
    write('again')
    await setImmediate()
    read()
    await setImmediate()
    expect(writes.at(-1)).toMatch(/^again\n\{"level":"warn","msg":"log lines were dropped","dropped":1\d\}\n$/)
  })
})

describe('Log levels', () => {
  it.each([
    ['debug', ['debug', 'info', 'warn', 'error']],
    ['warn', ['warn', 'error']],
    ['silent', []],
  ] as const)('the level %s writes its own lines and those above', (level, expected) => {
    const lines: string[] = []
    const log = createJsonLogger(level, (line) => lines.push(line))
    for (const name of ['debug', 'info', 'warn', 'error'] as const) log[name]({ msg: name })
    expect(lines.map((line) => JSON.parse(line).level)).toEqual(expected)
  })
})

describe('Output in a terminal', () => {
  const lines: string[] = []
  const log = createPrettyLogger('info', (line) => lines.push(line), { pid: 7 })

  it('a request is a sentence in a terminal', () => {
    log.info({ requestId: 'r1', method: 'GET', route: '/api/patients/:id', status: 200, ms: 1.2, userId: undefined })
    expect(lines.at(-1)).toMatch(/^\d\d:\d\d:\d\d info {2}GET \/api\/patients\/:id 200 in 1\.2 ms pid=7 requestId=r1$/)
  })

  it('an error is shown in a terminal with its stack and its cause', () => {
    const cause = Object.assign(new TypeError('why'), { code: 'E1' })
    log.error({ msg: 'it failed', err: new Error('what', { cause }) })
    const [head, ...told] = lines.at(-1)?.split('\n') ?? []
    expect(head).toMatch(/ error it failed pid=7$/)
    expect(told.filter((line) => !/^ +at /.test(line))).toEqual([
      '  Error',
      '    Error: what',
      '  because of TypeError code=E1',
      '    TypeError: why',
    ])
    expect(told.some((line) => /^ +at .*log\.test\.ts/.test(line))).toBe(true)
  })

  it('the pretty format is chosen by LOG_FORMAT first, and by whether a terminal reads', async () => {
    const first = async (isTTY: boolean, settings: Record<string, string>) => {
      const { stream, writes } = sink()
      const config = parseConfig({ JWT_SECRET: secret, DATABASE_URL: url, ...settings })
      const { logger, flushAndWait } = createNodeLogger(config, Object.assign(stream, { isTTY }))
      logger.info({ msg: 'hello' })
      await flushAndWait()
      return writes[0]?.startsWith('{') ? 'json' : 'pretty'
    }
    expect(await first(true, {})).toBe('pretty')
    expect(await first(false, {})).toBe('json')
    expect(await first(true, { NODE_ENV: 'production' })).toBe('json')
    expect(await first(true, { LOG_FORMAT: 'json' })).toBe('json')
    expect(await first(false, { LOG_FORMAT: 'pretty', NODE_ENV: 'production' })).toBe('pretty')
  })
})

describe('The output of npm start', () => {
  const start = (more?: Record<string, string>) => startNode(url, folder, more)

  it('npm start has written every line when it has stopped', async () => {
    const { program, url, stop } = await start()
    const answers = await Promise.all(Array.from({ length: 200 }, () => send('GET', `${url}/healthz`)))
    expect(await stop()).toBe(0)
    const ids = program.output
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .flatMap((line) => JSON.parse(line).requestId ?? [])
    expect(ids.toSorted()).toEqual(answers.map(({ headers }) => headers.get('X-Request-Id')).toSorted())
  })

  it('npm start has written every line also where the process is ended at once', async () => {
    const code = `
      import { parseConfig } from './src/config.ts'
      import { createNodeLogger } from './src/observability/logger.node.ts'
      const config = parseConfig({ JWT_SECRET: '${secret}' })
      createNodeLogger(config, process.stdout).logger.info({ msg: 'the last' })
      process.exit(3)`
    const program = new Program('--input-type=module', {}, ['--eval', code])
    expect(await program.exit()).toBe(3)
    expect(JSON.parse(program.output).msg).toBe('the last')
  })

  it('npm start goes on when nobody reads what it prints any more', async () => {
    const { program, url, stop } = await start()
    program.hangUp()
    for (let count = 0; count < 5; count += 1) expect((await send('GET', `${url}/healthz`)).status).toBe(200)
    expect(await stop()).toBe(0)
  })

  it('npm start prints for people where LOG_FORMAT says so', async () => {
    const { program, url, stop } = await start({ LOG_FORMAT: 'pretty' })
    await send('GET', `${url}/healthz`)
    await until('the line', () => / info {2}GET \/healthz 200 in [\d.]+ ms requestId=/.test(program.output))
    expect(await stop()).toBe(0)
  })
})
