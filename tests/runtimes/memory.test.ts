import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { doctor, patient } from '../support/api.ts'
import { ownFolder, Program, send, until } from '../support/program.ts'

const MiB = 1024 * 1024
const folder = await ownFolder()
const program = new Program('--import', { DATA_DIR: join(folder, 'data'), PORT: '0', LOG_LEVEL: 'warn' }, [
  './src/runtime/node/preload.ts',
  'src/runtime/node/main.ts',
])
const url = await program.said(/http:\/\/127\.0\.0\.1:\d+/)
afterAll(async () => {
  program.kill()
  await program.exit()
})
const account = { name: 'Ada', email: 'ada@example.org', password: 'a long password' }
const token = (await send('POST', `${url}/api/auth/register`, account)).string('access')
for (let i = 0; i < 100; i += 1)
  await send(
    'POST',
    `${url}/api/doctors`,
    { name: `Doctor ${i}`, specialization: 'x'.repeat(200), email: `${i}@example.org` },
    token,
  )

const post = async (path: string, body: object) => (await send('POST', `${url}/api${path}`, body, token)).string('id')
const patientId = await post('/patients', patient())
const doctorId = await post('/doctors', doctor())
for (let hour = 10; hour < 20; hour += 1) {
  const slot = { startsAt: `2040-01-02T${hour}:00:00.000Z`, endsAt: `2040-01-02T${hour}:30:00.000Z` }
  await post('/appointments', { patientId, doctorId, ...slot, reason: 'x'.repeat(400) })
}
const calendar = (await send('POST', `${url}/api/doctors/${doctorId}/calendar-feed`, undefined, token)).string('url')
const form = new FormData()
form.set('file', new File([new Uint8Array(5 * MiB).fill(65)], 'long.txt', { type: 'text/plain' }))
form.set('title', 'A long text')
form.set('kind', 'lab')
const uploaded = await fetch(`${url}/api/patients/${patientId}/reports`, {
  method: 'POST',
  headers: { Authorization: `Bearer ${token}` },
  body: form,
})
const { id: reportId } = JSON.parse(await uploaded.text())

/** The memory of the process, in bytes. */
const resident = () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${program.pid}/status`, 'utf8'))?.[1]) * 1024

/** Sends so many requests in a row over one connection, and reads nothing until `read` is called. */
function pipeline(path: string, count: number) {
  const request = `GET ${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nX-Request-Id: ID\r\n\r\n`
  const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1' })
  socket.pause()
  for (let i = 0; i < count; i += 1) socket.write(request.replace('ID', `request-${i}`))
  const ids: string[] = []
  let left = ''
  return {
    socket,
    /** Reads all answers. Resolves to the ids of their requests, in the order in which they come. */
    async read(): Promise<string[]> {
      socket.on('data', (bytes: Buffer) => {
        const text = left + bytes.toString('latin1')
        let end = 0
        for (const match of text.matchAll(/x-request-id: (request-\d+)\r\n/gi)) {
          ids.push(match[1] ?? '')
          end = match.index + match[0].length
        }
        // A header may have come in part.
        left = text.slice(Math.max(end, text.length - 50))
      })
      socket.resume()
      await until('all answers', () => ids.length === count, 40)
      socket.destroy()
      return ids
    },
  }
}

/** How many bytes come until the connection ends, or is cut. */
async function readToEnd(socket: Socket): Promise<number> {
  let size = 0
  socket.on('data', (bytes: Buffer) => {
    size += bytes.length
  })
  await once(socket, 'close').catch(() => {})
  return size
}

describe('a client that asks and reads nothing', () => {
  it.each([
    ['/docs/swagger-ui-bundle.js', 300],
    ['/api/doctors?limit=100', 1200],
    ['/openapi.json', 1200],
    ['/metrics', 1200],
    [calendar, 600],
    [`/api/reports/${reportId}/file`, 60],
  ])(
    '%s leaves memory as it was, and gets all answers in order once it reads',
    async (path, count) => {
      await send('GET', `${url}${path.replace('swagger-ui-bundle.js', 'start.js')}`, undefined, token)
      const before = resident()
      const client = pipeline(path, count)
      // What a second client is answered is answered after whatever the first one has got.
      for (let i = 0; i < 50; i += 1) expect((await send('GET', `${url}/healthz`)).status).toBe(200)
      expect(resident() - before).toBeLessThan(100 * MiB)
      expect(await client.read()).toEqual(Array.from({ length: count }, (_, i) => `request-${i}`))
      expect(resident() - before).toBeLessThan(150 * MiB)
    },
    180_000,
  )

  it('sends requests without end, of which no more are read than are answered', async () => {
    const before = resident()
    const client = connect({ port: Number(new URL(url).port), host: '127.0.0.1' })
    const requests = 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(1_000_000)
    client.pause()
    client.write(requests)
    for (let i = 0; i < 200; i += 1) expect((await send('GET', `${url}/healthz`)).status).toBe(200)
    expect(client.writableLength).toBeGreaterThan(requests.length - 10 * MiB)
    expect(resident() - before).toBeLessThan(100 * MiB)
    client.destroy()
  })

  it.each(['identity', 'gzip'])('over hundreds of connections leaves memory as it was, with %s', async (coding) => {
    const path = '/docs/swagger-ui-bundle.js'
    await (await fetch(url + path, { headers: { 'Accept-Encoding': coding } })).arrayBuffer()
    const before = resident()
    const sockets = Array.from({ length: 400 }, () => {
      const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1' })
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: ${coding}\r\n\r\n`)
      return socket
    })
    // The first bytes of an answer are there where it is written; no more is read.
    await Promise.all(sockets.map((socket) => once(socket, 'readable')))
    expect(resident() - before).toBeLessThan(120 * MiB)
    for (const socket of sockets) socket.destroy()
  })

  it('asks for large lists over hundreds of connections, of which those that wait longest are cut', async () => {
    // As many bytes as a body may have: more than the kernel keeps for a client.
    const medicalHistory = '𝕏'.repeat(16_000)
    for (let i = 0; i < 100; i += 1) await post('/patients', { ...patient(), name: `Patient ${i}`, medicalHistory })
    const before = resident()
    const sockets: Socket[] = []
    // One behind the other: at once, those would be refused for which no connection to the database is free in time.
    for (let i = 0; i < 300; i += 1) {
      const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1' })
      socket.write(
        `GET /api/patients?limit=100 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nConnection: close\r\n\r\n`,
      )
      sockets.push(socket)
      await once(socket, 'readable')
    }
    expect(resident() - before).toBeLessThan(250 * MiB)
    const sizes = await Promise.all([sockets.at(0), sockets.at(-1)].map((socket) => socket && readToEnd(socket)))
    for (const socket of sockets) socket.destroy()
    expect(sizes[0]).toBeLessThan(6 * MiB)
    expect(sizes[1]).toBeGreaterThan(6 * MiB)
  })

  it('is told of an asset that it has already', async () => {
    const path = `${url}/docs/swagger-ui-bundle.js`
    const first = await fetch(path)
    const tag = first.headers.get('ETag') ?? ''
    expect(first.headers.get('Content-Encoding')).toBe('gzip')
    expect((await first.text()).length).toBeGreaterThan(MiB)
    const again = await fetch(path, { headers: { 'If-None-Match': tag } })
    expect([again.status, await again.text(), again.headers.get('ETag')]).toEqual([304, '', tag])
    const plain = await fetch(path, { headers: { 'Accept-Encoding': 'br, gzip;q=0' } })
    expect([plain.headers.get('Content-Encoding'), plain.headers.get('Vary')]).toEqual([null, 'Accept-Encoding'])
    expect(`${plain.headers.get('ETag')}`.replace(/"$/, '-gzip"')).toBe(tag)
    expect((await plain.text()).length).toBeGreaterThan(MiB)
  })
})
