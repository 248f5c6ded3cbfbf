import { createServer } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { afterAll, describe, expect, it } from 'vitest'
import { app } from '../../src/app.ts'
import { patient, world } from '../support/api.ts'
import { documentedNginx, hasNginx, nginx } from '../support/nginx.ts'

const { api, admin } = await world()

describe.skipIf(!hasNginx && !process.env.CI)(
  'A proxy nginx as documented, which compresses and so weakens tags',
  async () => {
    const listener = getRequestListener((request) => app.fetch(request, api.env))
    const server = createServer((incoming, outgoing) => void listener(incoming, outgoing))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    const port = typeof address === 'object' && address ? address.port : 0
    const own = `http://127.0.0.1:${port}`
    const proxy = await nginx((at) => documentedNginx(at, [own, own]))
    afterAll(async () => {
      await proxy.stop()
      server.close()
      server.closeAllConnections()
    })

    const ask = (path: string, method = 'GET', headers: Record<string, string> = {}, body?: unknown) =>
      fetch(proxy.url + path, {
        method,
        headers: {
          'Accept-Encoding': 'gzip',
          Authorization: `Bearer ${admin.access}`,
          'Content-Type': 'application/json',
          ...headers,
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      })

    it('a record is changed with the tag that came through it, once, and not sent again to who has it', async () => {
      const { id } = await admin.post('/api/patients', patient({ medicalHistory: 'long '.repeat(1000) }))
      const path = `/api/patients/${id}`
      const read = await ask(path)
      const tag = read.headers.get('ETag') ?? ''
      expect([read.headers.get('Content-Encoding'), tag]).toEqual(['gzip', 'W/"1"'])
      expect((await ask(path, 'GET', { 'If-None-Match': tag })).status).toBe(304)
      const changes = [await ask(path, 'PATCH', { 'If-Match': tag }, { address: 'a' })]
      changes.push(await ask(path, 'PATCH', { 'If-Match': tag }, { address: 'b' }))
      expect(changes.map(({ status }) => status)).toEqual([200, 412])
      expect(changes[1]?.headers.get('Content-Type')).toBe('application/problem+json')
    })
  },
)
