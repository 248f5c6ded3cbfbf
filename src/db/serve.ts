import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import type { PGlite } from '@electric-sql/pglite'
import pLimit from 'p-limit'
import { challenge, mechanism, type Verifier, verifierOf } from './scram.ts'

/** How a client greets, beside the real start: what it wants first (PostgreSQL, protocol-message-formats). */
const encryption = [80_877_103, 80_877_104]
const cancellation = 80_877_102

const codeOf = (type: string) => type.charCodeAt(0)
/** What the database says when a turn is over: ready for the next query, and in no transaction. */
const ready = Buffer.from([codeOf('Z'), 0, 0, 0, 5, codeOf('I')])

/** How long clients may finish what they are at when the server stops, in ms. */
const grace = 1000

/** A message of `type` around `body`. */
function message(type: string, body: string | Buffer = ''): Uint8Array {
  const length = Buffer.alloc(4)
  length.writeInt32BE(Buffer.byteLength(body) + 4)
  return Buffer.concat([Buffer.from(type), length, Buffer.from(body)])
}

/** What the server says of an authentication, by its number (PostgreSQL, protocol-message-formats). */
const authentication = { SASL: 10, SASLContinue: 11, SASLFinal: 12 } as const
function authenticationMessage(kind: keyof typeof authentication, body: string): Uint8Array {
  const number = Buffer.alloc(4)
  number.writeInt32BE(authentication[kind])
  return message('R', Buffer.concat([number, Buffer.from(body)]))
}

const refusal = message('E', 'SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed\0\0')
/** How long a client may take to prove itself, in ms, and how many bytes a message of it may have until then. */
const authenticationTimeoutMs = 10_000
const maxBytesBeforeAuthentication = 10_000

/** The bytes of a client's first message of SASL, behind the name of the mechanism; undefined where it is another's. */
function initialResponseIn(one: Buffer): string | undefined {
  const name = `${mechanism}\0`
  const start = 5 + name.length
  if (one[0] !== codeOf('p') || one.toString('latin1', 5, start) !== name || one.length < start + 4) return undefined
  return one.toString('utf8', start + 4)
}

/** Whether the client proves that it knows the password (PostgreSQL, "SASL Authentication"). */
async function authenticate(socket: Socket, messages: AsyncGenerator<Buffer>, verifier: Verifier): Promise<boolean> {
  const next = async () => (await messages.next()).value
  socket.write(authenticationMessage('SASL', `${mechanism}\0\0`))
  const first: unknown = await next()
  const begun = first instanceof Buffer ? challenge(verifier, initialResponseIn(first) ?? '') : undefined
  if (!begun) return false
  socket.write(authenticationMessage('SASLContinue', begun.message))
  const final: unknown = await next()
  const isResponse = final instanceof Buffer && final[0] === codeOf('p')
  const proved = isResponse ? begun.verify(final.toString('utf8', 5)) : undefined
  if (proved === undefined) return false
  socket.write(authenticationMessage('SASLFinal', proved))
  return true
}

/** The messages that a client sends, one by one, until it leaves or one has more than `limit.maxBytes`. */
async function* messagesOf(socket: Socket, limit: { maxBytes: number }): AsyncGenerator<Buffer> {
  let bytes = Buffer.alloc(0)
  let greeted = false
  for await (const chunk of socket) {
    bytes = Buffer.concat([bytes, chunk])
    for (;;) {
      // The greeting alone begins with its length; all others have their type before it.
      const start = greeted ? 1 : 0
      if (bytes.length < start + 4) break
      const end = start + bytes.readInt32BE(start)
      if (end < start + 4 || (!greeted && end < 8) || end > limit.maxBytes) return
      if (bytes.length < end) break
      const one = bytes.subarray(0, end)
      bytes = bytes.subarray(end)
      if (greeted || !encryption.includes(one.readInt32BE(4))) {
        if (greeted ? one[0] === codeOf('X') : one.readInt32BE(4) === cancellation) return
        greeted = true
        yield one
      } else socket.write('N')
    }
  }
}

/** The name that a Parse message gives its statement; empty for the unnamed one and for any other message. */
const statementIn = (one: Buffer) => (one[0] === codeOf('P') ? one.toString('utf8', 5, one.indexOf(0, 5)) : '')

async function* withFirst<T>(first: T, rest: AsyncIterable<T>): AsyncGenerator<T> {
  yield first
  yield* rest
}

/**
 * Serves `db` to `postgres://` clients at `url`, on a free port of the loopback, until `stop`, with a password that is made
 * for this time: others on the machine reach the port as well. It has one session, so they take turns: a turn lasts from a
 * client's first message until the database is ready again outside a transaction. Shorter ones mix up the clients'
 * unnamed portals, errors and answers.
 */
export async function serve(db: PGlite): Promise<{ url: string; stop(): Promise<void> }> {
  const password = randomBytes(24).toString('base64url')
  const verifier = verifierOf(password)
  const oneAtATime = pLimit(1)
  /** Waits for the database to be free and takes it; what it gives back frees it. */
  const turn = () => new Promise<() => void>((taken) => void oneAtATime(() => new Promise<void>((free) => taken(free))))

  async function talk(socket: Socket): Promise<void> {
    const statements = new Set<string>()
    let free: (() => void) | undefined
    try {
      const limit = { maxBytes: maxBytesBeforeAuthentication }
      const late = setTimeout(() => socket.destroy(), authenticationTimeoutMs)
      socket.once('close', () => clearTimeout(late))
      const messages = messagesOf(socket, limit)
      const greeting: unknown = (await messages.next()).value
      if (!(greeting instanceof Buffer)) return
      const isKnown = await authenticate(socket, messages, verifier).finally(() => clearTimeout(late))
      if (!isKnown) {
        socket.end(refusal)
        return
      }
      limit.maxBytes = Infinity
      for await (const one of withFirst(greeting, messages)) {
        free ??= await turn()
        const statement = statementIn(one)
        if (statement) statements.add(statement)
        let tail = Buffer.alloc(0)
        await db.execProtocolRawStream(one, {
          onRawData(data) {
            const copy = Buffer.from(data)
            tail = Buffer.concat([tail, copy]).subarray(-ready.length)
            if (socket.writable) socket.write(copy)
          },
        })
        if (!tail.equals(ready)) continue
        free()
        free = undefined
      }
    } catch {
      // The connection broke: there is nobody to tell.
    } finally {
      socket.destroy()
      free ??= await turn()
      await leave(statements).catch(() => {})
      free()
    }
  }

  /** Undoes what a client left in the session: a half-sent query, a transaction, its statements. */
  async function leave(statements: Set<string>): Promise<void> {
    const closing = [...statements].map((name) => message('C', `S${name}\0`))
    for (const one of [message('S'), message('Q', 'rollback\0'), ...closing, message('S')])
      await db.execProtocolRawStream(one, { onRawData: () => {} })
  }

  const clients = new Map<Socket, Promise<void>>()
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {})
    clients.set(
      socket,
      talk(socket).finally(() => clients.delete(socket)),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (typeof address !== 'object' || !address) throw new Error('a listening server has no address')
  return {
    url: `postgres://postgres:${password}@127.0.0.1:${address.port}/postgres`,
    async stop() {
      const left = once(server, 'close')
      server.close()
      const patience = setTimeout(() => {
        for (const socket of clients.keys()) socket.destroy()
      }, grace)
      await left
      clearTimeout(patience)
      await Promise.all(clients.values())
    },
  }
}
