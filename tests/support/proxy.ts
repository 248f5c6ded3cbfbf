import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** A way to the server at `url` that can stop to carry anything, with no connection closed: a network that is gone. */
export async function proxyTo(url: string): Promise<{ url: string; freeze(): void; close(): Promise<void> }> {
  const target = new URL(url)
  const sockets = new Set<Socket>()
  let frozen = false
  const server = createServer((near) => {
    const far = connect(Number(target.port || 5432), target.hostname)
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      from.on('error', () => {}).once('close', () => to.destroy())
      if (!frozen) from.pipe(to)
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const here = new URL(url)
  here.host = `127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
  return {
    url: here.href,
    freeze() {
      frozen = true
      for (const socket of sockets) socket.unpipe().pause()
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
