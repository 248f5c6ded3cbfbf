import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { Answer } from './api.ts'

const endOfHead = '\r\n\r\n'

/** The first whole answer in what a server has sent, and what comes behind it; undefined where there is none yet. */
function firstAnswer(bytes: Buffer): { answer: Answer; rest: Buffer } | undefined {
  const end = bytes.indexOf(endOfHead)
  if (end < 0) return undefined
  const [start = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n')
  const status = Number(/^HTTP\/1\.1 (\d{3}) \S/.exec(start)?.[1])
  if (!status) throw new Error(`no status line: ${start}`)
  const headers = new Headers(
    lines.map((line): [string, string] => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]),
  )
  const body = bytes.subarray(end + endOfHead.length)
  const length = Number(headers.get('Content-Length') ?? 0)
  if (body.length < length) return undefined
  const rest = body.subarray(length)
  // 100 Continue: the answer proper is to come.
  if (status < 200) return firstAnswer(rest)
  return { answer: new Answer(status, headers, body.toString('utf8', 0, length)), rest }
}

/** A connection whose every byte the test decides on. */
export class Connection {
  readonly socket: Socket
  #received: Buffer = Buffer.alloc(0)

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (bytes: Buffer) => {
      this.#received = Buffer.concat([this.#received, bytes])
    })
    socket.on('error', () => {})
  }

  static async open(url: string): Promise<Connection> {
    const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1', noDelay: true })
    const connection = new Connection(socket)
    await once(socket, 'connect')
    return connection
  }

  send(bytes: string | Uint8Array): this {
    this.socket.write(bytes)
    return this
  }

  get ended(): boolean {
    return this.socket.readableEnded || this.socket.destroyed
  }

  /** The next answer; fails where the server closes without one. */
  async answer(seconds = 20): Promise<Answer> {
    for (const end = Date.now() + seconds * 1000; ; await setTimeout(5)) {
      const { ended } = this
      const found = firstAnswer(this.#received)
      if (found) {
        this.#received = found.rest
        return found.answer
      }
      if (ended) throw new Error(`closed with no answer: ${this.#received}`)
      if (Date.now() > end) throw new Error(`no answer in ${seconds} s: ${this.#received}`)
    }
  }
}
