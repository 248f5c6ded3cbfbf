import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

/**
 * What becomes of the bytes between a client and a server: `forward` them; `swallow` them, so that nobody hears of
 * anything any more; `cut` the connection at the server's next word; `hang up` on whoever connects.
 */
export type Mode = 'forward' | 'swallow' | 'cut' | 'hang up'

/** A stretch of network to a port of the loopback that can be broken in many ways. */
export class Network {
  mode: Mode = 'forward'
  /** A connection over which a client sends this is cut at once. */
  fatal: string | undefined
  readonly #to: number
  readonly #sockets = new Set<Socket>()
  #server: Server | undefined
  #port = 0

  constructor(to: number) {
    this.#to = to
  }

  get port(): number {
    return this.#port
  }

  /** Listens, on the same port every time. */
  async open(): Promise<void> {
    this.#server = createServer((client) => this.#join(client))
    this.#server.listen(this.#port, '127.0.0.1')
    await once(this.#server, 'listening')
    const address = this.#server.address()
    if (typeof address === 'object' && address) this.#port = address.port
  }

  /** Refuses connections from now on. Those there are end. */
  async close(): Promise<void> {
    const server = this.#server
    if (!server?.listening) return
    const closed = once(server, 'close')
    server.close()
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  #join(client: Socket): void {
    if (this.mode === 'hang up')
      return void client
        .on('error', () => {})
        .resume()
        .end()
    const server = connect(this.#to, '127.0.0.1')
    // A connection that was swallowed once stays dead: it does not find back into the middle of a conversation.
    let dead = this.mode === 'swallow'
    const pass = (from: Socket, to: Socket) => {
      this.#sockets.add(from)
      from.on('data', (bytes) => {
        dead ||= this.mode === 'swallow'
        if (dead) return
        if (from === client && this.fatal !== undefined && bytes.includes(this.fatal)) return void from.destroy()
        if (this.mode === 'cut' && from === server) return void from.destroy()
        to.write(bytes)
      })
      from.on('error', () => {})
      from.on('close', () => {
        this.#sockets.delete(from)
        if (!dead) to.destroy()
      })
    }
    pass(client, server)
    pass(server, client)
  }
}
