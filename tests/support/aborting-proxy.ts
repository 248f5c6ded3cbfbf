import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

const message = (text: string) => {
  const body = Buffer.from(`${text}\0`)
  const head = Buffer.from('Q\0\0\0\0')
  head.writeInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

/** Takes bytes apart into the messages of PostgreSQL's protocol; of a client's, the first has no type. */
function messageReader(hasGreeting: boolean) {
  let bytes = Buffer.alloc(0)
  let greeting = hasGreeting
  return (chunk: Buffer): Buffer[] => {
    bytes = Buffer.concat([bytes, chunk])
    const messages: Buffer[] = []
    for (;;) {
      const start = greeting ? 0 : 1
      if (bytes.length < start + 4) return messages
      const end = start + bytes.readInt32BE(start)
      if (bytes.length < end) return messages
      messages.push(bytes.subarray(0, end))
      bytes = bytes.subarray(end)
      greeting = false
    }
  }
}

/**
 * Stands between a client and a server of PostgreSQL on the loopback. While `aborts` is true each transaction is aborted
 * after its last statement, unseen by the client: its COMMIT is answered with ROLLBACK.
 */
export class AbortingProxy {
  aborts = false
  port = 0
  readonly #to: number
  readonly #sockets = new Set<Socket>()
  readonly #server = createServer((client) => this.#join(client))

  constructor(to: number) {
    this.#to = to
  }

  async open(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    const address = this.#server.address()
    if (typeof address === 'object' && address) this.port = address.port
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #join(client: Socket): void {
    const server = connect(this.#to, '127.0.0.1')
    const ofClient = messageReader(true)
    const ofServer = messageReader(false)
    /** Answers of the server that the client did not ask for. */
    let hidden = 0
    client.on('data', (chunk: Buffer) => {
      for (const sent of ofClient(chunk)) {
        if (this.aborts && ['P', 'Q'].includes(String.fromCharCode(sent[0] ?? 0)) && sent.includes('commit\0')) {
          hidden += 1
          server.write(message('select 1/0'))
        }
        server.write(sent)
      }
    })
    server.on('data', (chunk: Buffer) => {
      for (const answer of ofServer(chunk)) {
        if (hidden === 0) client.write(answer)
        else if (answer[0] === 'Z'.charCodeAt(0)) hidden -= 1
      }
    })
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        this.#sockets.delete(socket)
        other.destroy()
      })
    }
  }
}
