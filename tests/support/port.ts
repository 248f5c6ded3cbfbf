import { once } from 'node:events'
import { createServer } from 'node:net'

/** A port that was free a moment ago, for programs that do not choose one themselves. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (typeof address !== 'object' || !address) throw new Error('a listening server has no address')
  return address.port
}
