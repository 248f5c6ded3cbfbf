import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import type { PGlite } from '@electric-sql/pglite'
import pLimit from 'p-limit'
import { createScramChallenge, createScramVerifier, type ScramVerifier, scramMechanism } from './scram.ts'

/** How a client greets, beside the real start: what it wants first (PostgreSQL, protocol-message-formats). */
const encryptionRequestCodes = [80_877_103, 80_877_104]
const cancelRequestCode = 80_877_102

const charCode = (type: string) => type.charCodeAt(0)
/** What the database says when a turn is over: ready for the next query, and in no transaction. */
const readyForQueryMessage = Buffer.from([charCode('Z'), 0, 0, 0, 5, charCode('I')])

/** How long clients may finish what they are at when the server stops, in ms. */
const stopGraceMs = 1000

/** A message of `type` around `body`. */
function buildMessage(type: string, body: string | Buffer = ''): Uint8Array {
  const length = Buffer.alloc(4)
  length.writeInt32BE(Buffer.byteLength(body) + 4)
  return Buffer.concat([Buffer.from(type), length, Buffer.from(body)])
}

/** What the server says of an authentication, by its number (PostgreSQL, protocol-message-formats). */
const authenticationTypes = { SASL: 10, SASLContinue: 11, SASLFinal: 12 } as const
function buildAuthenticationMessage(kind: keyof typeof authenticationTypes, body: string): Uint8Array {
  const number = Buffer.alloc(4)
  number.writeInt32BE(authenticationTypes[kind])
  return buildMessage('R', Buffer.concat([number, Buffer.from(body)]))
}

const authenticationFailedMessage = buildMessage('E', 'SFATAL\0VFATAL\0C28P01\0Mpassword authentication failed\0\0')
/** How long a client may take to prove itself, in ms, and how many bytes a message of it may have until then. */
const authenticationTimeoutMs = 10_000
const maxBytesBeforeAuthentication = 10_000

/** The bytes of a client's first message of SASL, behind the name of the mechanism; undefined where it is another's. */
function parseInitialResponse(message: Buffer): string | undefined {
  const name = `${scramMechanism}\0`
  const start = 5 + name.length
  if (message[0] !== charCode('p') || message.toString('latin1', 5, start) !== name || message.length < start + 4)
    return undefined
  return message.toString('utf8', start + 4)
}

/** Whether the client proves that it knows the password (PostgreSQL, "SASL Authentication"). */
async function authenticateClient(
  socket: Socket,
  messages: AsyncGenerator<Buffer>,
  verifier: ScramVerifier,
): Promise<boolean> {
  const next = async () => (await messages.next()).value
  socket.write(buildAuthenticationMessage('SASL', `${scramMechanism}\0\0`))
  const first: unknown = await next()
  const begun = first instanceof Buffer ? createScramChallenge(verifier, parseInitialResponse(first) ?? '') : undefined
  if (!begun) return false
  socket.write(buildAuthenticationMessage('SASLContinue', begun.message))
  const final: unknown = await next()
  const isResponse = final instanceof Buffer && final[0] === charCode('p')
  const proved = isResponse ? begun.verify(final.toString('utf8', 5)) : undefined
  if (proved === undefined) return false
  socket.write(buildAuthenticationMessage('SASLFinal', proved))
  return true
}

/** The messages that a client sends, one by one, until it leaves or one has more than `limit.maxBytes`. */
async function* readMessages(socket: Socket, limit: { maxBytes: number }): AsyncGenerator<Buffer> {
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
      const message = bytes.subarray(0, end)
      bytes = bytes.subarray(end)
      if (greeted || !encryptionRequestCodes.includes(message.readInt32BE(4))) {
        if (greeted ? message[0] === charCode('X') : message.readInt32BE(4) === cancelRequestCode) return
        greeted = true
        yield message
      } else socket.write('N')
    }
  }
}

/** The name that a Parse message gives its statement; empty for the unnamed one and for any other message. */
const getStatementName = (message: Buffer) =>
  message[0] === charCode('P') ? message.toString('utf8', 5, message.indexOf(0, 5)) : ''

async function* prependTo<T>(first: T, rest: AsyncIterable<T>): AsyncGenerator<T> {
  yield first
  yield* rest
}

/**
 * Serves `db` to `postgres://` clients at `url`, on a free port of the loopback, until `stop`, with a password that is made
 * for this time: others on the machine reach the port as well. It has one session, so they take turns: a turn lasts from a
 * client's first message until the database is ready again outside a transaction. Shorter ones mix up the clients'
 * unnamed portals, errors and answers.
 */
export async function servePglite(db: PGlite): Promise<{ url: string; stop(): Promise<void> }> {
  const password = randomBytes(24).toString('base64url')
  const verifier = createScramVerifier(password)
  const oneAtATime = pLimit(1)
  /** Waits for the database to be free and takes it; what it gives back frees it. */
  const waitForTurn = () =>
    new Promise<() => void>((taken) => void oneAtATime(() => new Promise<void>((releaseTurn) => taken(releaseTurn))))

  async function serveClient(socket: Socket): Promise<void> {
    const statements = new Set<string>()
    let releaseTurn: (() => void) | undefined
    try {
      const limit = { maxBytes: maxBytesBeforeAuthentication }
      const authenticationTimer = setTimeout(() => socket.destroy(), authenticationTimeoutMs)
      socket.once('close', () => clearTimeout(authenticationTimer))
      const messages = readMessages(socket, limit)
      const greeting: unknown = (await messages.next()).value
      if (!(greeting instanceof Buffer)) return
      const isKnown = await authenticateClient(socket, messages, verifier).finally(() =>
        clearTimeout(authenticationTimer),
      )
      if (!isKnown) {
        socket.end(authenticationFailedMessage)
        return
      }
      limit.maxBytes = Infinity
      for await (const message of prependTo(greeting, messages)) {
        releaseTurn ??= await waitForTurn()
        const statement = getStatementName(message)
        if (statement) statements.add(statement)
        let tail = Buffer.alloc(0)
        await db.execProtocolRawStream(message, {
          onRawData(data) {
            const copy = Buffer.from(data)
            tail = Buffer.concat([tail, copy]).subarray(-readyForQueryMessage.length)
            if (socket.writable) socket.write(copy)
          },
        })
        if (!tail.equals(readyForQueryMessage)) continue
        releaseTurn()
        releaseTurn = undefined
      }
    } catch {
      // The connection broke: there is nobody to tell.
    } finally {
      socket.destroy()
      releaseTurn ??= await waitForTurn()
      await resetSession(statements).catch(() => {})
      releaseTurn()
    }
  }

  /** Undoes what a client left in the session: a half-sent query, a transaction, its statements. */
  async function resetSession(statements: Set<string>): Promise<void> {
    const closing = [...statements].map((name) => buildMessage('C', `S${name}\0`))
    for (const message of [buildMessage('S'), buildMessage('Q', 'rollback\0'), ...closing, buildMessage('S')])
      await db.execProtocolRawStream(message, { onRawData: () => {} })
  }

  const clients = new Map<Socket, Promise<void>>()
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => {})
    clients.set(
      socket,
      serveClient(socket).finally(() => clients.delete(socket)),
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
      const stopTimer = setTimeout(() => {
        for (const socket of clients.keys()) socket.destroy()
      }, stopGraceMs)
      await left
      clearTimeout(stopTimer)
      await Promise.all(clients.values())
    },
  }
}
