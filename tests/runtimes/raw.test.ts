import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { copyOf } from '../support/database.ts'
import { ownFolder, Program, send } from '../support/program.ts'
import { Connection } from '../support/socket.ts'

const folder = await ownFolder()
const database = await copyOf(inject('template'))
const node = new Program('src/runtime/node/main.ts', {
  PORT: '0',
  DATA_DIR: join(folder, 'data'),
  DATABASE_URL: database.url,
  TRUST_PROXY: '127.0.0.1',
})
let url = ''
beforeAll(async () => {
  url = await node.said(/http:\/\/127\.0\.0\.1:\d+/)
})
afterAll(() => database.stop())

const host = 'Host: api.example.org'
const request = (line: string, ...headers: string[]) => `${[line, ...headers].join('\r\n')}\r\n\r\n`
const get = (path: string, ...headers: string[]) => request(`GET ${path} HTTP/1.1`, host, ...headers)
const post = (...headers: string[]) =>
  request('POST /api/auth/login HTTP/1.1', host, 'Content-Type: application/json', ...headers)
const latin1 = (text: string) => Buffer.from(text, 'latin1')

const cases: Record<string, { send: string | Uint8Array; fin?: true; answer: number }> = {
  'a good request': { send: get('/healthz'), answer: 200 },
  garbage: { send: 'what is this\r\n\r\n', answer: 400 },
  'a TLS hello': { send: Buffer.from('16030100a5010000a10303', 'hex'), answer: 400 },
  'the preface of HTTP/2': { send: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', answer: 400 },
  'HTTP/0.9': { send: 'GET /healthz\r\n\r\n', answer: 400 },
  'HTTP/1.0 without Host': { send: 'GET /healthz HTTP/1.0\r\n\r\n', answer: 200 },
  'HTTP/1.2': { send: request('GET /healthz HTTP/1.2', host), answer: 400 },
  'HTTP/3.0': { send: request('GET /healthz HTTP/3.0', host), answer: 400 },
  'no version': { send: request('GET /healthz', host), answer: 400 },
  'a method that there is not': { send: request('GRAB /healthz HTTP/1.1', host), answer: 400 },
  'a method in small letters': { send: request('get /healthz HTTP/1.1', host), answer: 400 },
  TRACE: { send: request('TRACE /healthz HTTP/1.1', host), answer: 405 },
  'no Host': { send: request('GET /healthz HTTP/1.1'), answer: 400 },
  'two Hosts': { send: get('/healthz', 'Host: other.example.org'), answer: 400 },
  'an empty Host': { send: request('GET /healthz HTTP/1.1', 'Host:'), answer: 200 },
  'a Host with a space': { send: request('GET /healthz HTTP/1.1', 'Host: a b'), answer: 400 },
  'a Host with a path': { send: request('GET /healthz HTTP/1.1', 'Host: a/b?c'), answer: 400 },
  'a header without a colon': { send: get('/healthz', 'nothing'), answer: 400 },
  'a header with NUL': { send: get('/healthz', 'X-A: a\0b'), answer: 400 },
  'a folded header': { send: get('/healthz', 'X-A: a\r\n b'), answer: 400 },
  'a header of 100 KB': { send: get('/healthz', `X-A: ${'a'.repeat(100_000)}`), answer: 431 },
  'a thousand headers': { send: get('/healthz', ...Array<string>(1000).fill('X-A: 0123456789abcdef')), answer: 431 },
  'lines that end in LF alone': { send: `GET /healthz HTTP/1.1\n${host}\n\n`, answer: 400 },
  'a whole URL': { send: get('http://other.example.org/healthz'), answer: 200 },
  'a whole URL without a host': { send: get('http://'), answer: 400 },
  'a whole URL of another scheme': { send: get('ftp://other.example.org/healthz'), answer: 400 },
  'a whole URL with a port that cannot be': { send: get('http://other.example.org:99999/'), answer: 400 },
  'OPTIONS of the server': { send: request('OPTIONS * HTTP/1.1', host), answer: 204 },
  'GET of the server': { send: get('*'), answer: 400 },
  CONNECT: { send: request('CONNECT other.example.org:443 HTTP/1.1', host), answer: 405 },
  'CONNECT with half a body': {
    send: `${request('CONNECT other.example.org:443 HTTP/1.1', host, 'Content-Length: 9')}half`,
    answer: 405,
  },
  'an upgrade to WebSocket': { send: get('/healthz', 'Connection: Upgrade', 'Upgrade: websocket'), answer: 200 },
  'an upgrade to HTTP/2': {
    send: get('/healthz', 'Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABk'),
    answer: 200,
  },
  '100-continue with a body': { send: `${post('Expect: 100-continue', 'Content-Length: 2')}{}`, answer: 400 },
  '100-continue without one': { send: get('/healthz', 'Expect: 100-continue'), answer: 200 },
  'another expectation': { send: get('/healthz', 'Expect: a-pony'), answer: 417 },
  'two lengths': { send: `${post('Content-Length: 2', 'Content-Length: 3')}{}`, answer: 400 },
  'a length and chunks': { send: `${post('Content-Length: 2', 'Transfer-Encoding: chunked')}0\r\n\r\n`, answer: 400 },
  'a length below nothing': { send: post('Content-Length: -1'), answer: 400 },
  'a length that is no number': { send: post('Content-Length: two'), answer: 400 },
  'a chunk that is none': { send: `${post('Transfer-Encoding: chunked')}zz\r\n`, answer: 400 },
  'a chunk with 100 KB of extensions': {
    send: `${post('Transfer-Encoding: chunked')}2;${'a'.repeat(100_000)}\r\n{}\r\n0\r\n\r\n`,
    answer: 413,
  },
  'an encoding that is not known': { send: post('Transfer-Encoding: gzip'), answer: 400 },
  'half a head': { send: 'GET /healthz HTTP/1.1\r\nHo', fin: true, answer: 400 },
  'half a body': { send: `${post('Content-Length: 50')}{"email":`, fin: true, answer: 400 },
  'a URL of 100 KB': { send: get(`/${'a'.repeat(100_000)}`), answer: 431 },
  'a URL with a fragment': { send: get('/healthz#part'), answer: 200 },
  'broken per cents in the path': { send: get('/nothing/%zz'), answer: 404 },
  'broken per cents in the query': { send: get('/healthz?a=%zz%'), answer: 200 },
  'an encoded NUL in the path': { send: get('/docs/%00'), answer: 404 },
  'encoded dots in the path': { send: get('/docs/..%2f..%2f..%2fetc%2fpasswd'), answer: 404 },
  'a backslash in the path': { send: get('/docs\\..\\x'), answer: 400 },
  'bytes beyond ASCII in the path': { send: latin1(get('/\xff\xfe')), answer: 400 },
  'UTF-8 in the path': { send: get('/häuser'), answer: 400 },
}

describe('over a bare socket', () => {
  it.each(Object.entries(cases))('%s', async (_, { send: bytes, fin, answer: status }) => {
    const connection = (await Connection.open(url)).send(bytes)
    if (fin) connection.socket.end()
    const answer = await connection.answer()
    connection.socket.destroy()
    expect(answer.status).toBe(status)
    expect(answer.headers.get('X-Request-Id')).toMatch(/^[\da-f-]{36}$/)
    expect(answer.headers.get('X-Content-Type-Options')).toBe('nosniff')
    expect(answer.headers.get('Content-Security-Policy')).toMatch(/^default-src 'none'/)
    if (status === 204) expect([answer.text, answer.headers.get('Content-Type')]).toEqual(['', null])
    if (status >= 400) {
      expect(answer.headers.get('Content-Type')).toBe('application/problem+json')
      expect(answer.body).toMatchObject({ status, instance: answer.headers.get('X-Request-Id') })
      expect(answer.string('type')).toMatch(/^\/problems\/[a-z-]+$/)
      if (status === 400) expect(answer.list('errors').length).toBeGreaterThan(0)
    }
    expect((await send('GET', `${url}/healthz`)).status).toBe(200)
  })

  it('answers requests that come at once, each in its turn, and then what cannot be read', async () => {
    const connection = (await Connection.open(url)).send(
      `${get('/healthz')}${post('Content-Length: 2')}{}${get('/nothing')}garbage\r\n\r\n`,
    )
    const statuses: number[] = []
    while (statuses.length < 4) statuses.push((await connection.answer()).status)
    expect(statuses).toEqual([200, 400, 404, 400])
  })

  it('gives a refusal the id and the headers that the request has earned', async () => {
    for (const [id, line] of [
      ['mine.1', 'GET /\\ HTTP/1.1'],
      ['mine.2', 'CONNECT a:1 HTTP/1.1'],
    ] as const) {
      const bytes = request(line, host, `X-Request-Id: ${id}`, 'X-Forwarded-Proto: https')
      const answer = await (await Connection.open(url)).send(bytes).answer()
      expect(answer.at('instance')).toBe(id)
      expect(answer.headers.get('Strict-Transport-Security')).toMatch(/^max-age=\d/)
      await node.said(new RegExp(`"requestId":"${id}","msg":"refused before any route"`))
    }
  })

  it('closes a connection on which it cannot tell where the next request begins', async () => {
    for (const name of ['garbage', 'two lengths', 'another expectation', 'HTTP/0.9', 'CONNECT']) {
      const bytes = cases[name]?.send ?? ''
      const connection = (await Connection.open(url)).send(bytes)
      expect((await connection.answer()).headers.get('Connection')).toBe('close')
      await expect(connection.answer()).rejects.toThrow('closed with no answer')
    }
  })

  it('outlives clients that leave at any moment', async () => {
    for (const bytes of Object.values(cases).map(({ send: bytes }) => bytes)) {
      const connection = (await Connection.open(url)).send(bytes)
      connection.socket.resetAndDestroy()
      const other = (await Connection.open(url)).send(bytes.slice(0, 20))
      other.socket.destroy()
    }
    expect((await send('GET', `${url}/healthz`)).status).toBe(200)
  })

  it('never failed, and says nothing of what it was sent', async () => {
    node.kill()
    expect(await node.exit()).toBe(0)
    expect(node.output).not.toMatch(/"level":"error"|"status":5|uncaught|pony|etc.passwd|^ +at /m)
  })
})
