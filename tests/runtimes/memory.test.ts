import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { ownFolder, Program, send, until } from '../support/program.ts'

const MiB = 1024 * 1024
const folder = await ownFolder()
const program = new Program('--import', { DATA_DIR: join(folder, 'data'), PORT: '0', LOG_LEVEL: 'warn' }, [
  './src/preload.ts',
  'src/node.ts',
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

describe('a client that asks and reads nothing', () => {
  it.each([
    ['/docs/swagger-ui-bundle.js', 300],
    ['/api/doctors?limit=100', 1200],
    ['/openapi.json', 1200],
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

  it('is told of an asset that it has already', async () => {
    const path = `${url}/docs/swagger-ui-bundle.js`
    const first = await fetch(path)
    const tag = (first.headers.get('ETag') ?? '').replace('W/', '')
    expect((await first.text()).length).toBeGreaterThan(MiB)
    const again = await fetch(path, { headers: { 'If-None-Match': tag } })
    expect([again.status, await again.text(), again.headers.get('ETag')]).toEqual([304, '', tag])
  })
})
