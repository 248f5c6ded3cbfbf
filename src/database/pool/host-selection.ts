import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { type DatabaseHost, parseDatabaseUrl } from '../../database-url.ts'

/** How long a host may take to accept a connection, in ms, before the next is tried. */
const connectTimeoutMs = 500
/** Between two looks at all hosts, none of which takes writes, in ms. */
const roundPauseMs = 100

/** What a client of the driver for one connection is made with, and how it is told to try no further server. */
type ClientOptions = {
  options: { host?: string; socket?: () => Promise<Socket>; target_session_attrs?: 'primary' }
  abort(): void
}

/**
 * Says which of several servers connections go to: the one where the last was found to be right, then the others in turn.
 * Whether it is, the driver finds out. Its own way with several hosts is not used: where none answers, it tries them again
 * without a pause, for ever, and tells nobody.
 */
export class HostSelector {
  /** What the driver is given: it has the user, the password and the name of the database. */
  readonly url: string
  /** None where any server is right, and there is one. */
  readonly #hosts: readonly DatabaseHost[]
  #preferredIndex = 0

  constructor(databaseUrl: string) {
    const parsed = parseDatabaseUrl(databaseUrl)
    const isAny = !parsed || (parsed.hosts.length === 1 && parsed.targetSessionAttrs === undefined)
    this.url = isAny ? databaseUrl : parsed.url.href
    this.#hosts = isAny ? [] : parsed.hosts
  }

  /** Whether another server may take writes where one does not. */
  get hasAlternatives(): boolean {
    return this.#hosts.length > 1
  }

  /** The server that connections go to does not take writes any more: the next one may. */
  avoidPreferred(): void {
    this.#preferredIndex = (this.#preferredIndex + 1) % this.#hosts.length
  }

  /** `onUnreachable` is called where none of several hosts accepts connections: of that the driver tells nobody. */
  createClientOptions(onUnreachable: (error: Error) => void): ClientOptions {
    if (this.#hosts.length === 0) return { options: {}, abort: () => {} }
    let openedCount = 0
    let lastIndex = -1
    const aborted = new AbortController()
    const socket = async () => {
      // The driver has refused the server of the last socket.
      if (lastIndex === this.#preferredIndex) this.avoidPreferred()
      if (openedCount >= this.#hosts.length) await setTimeout(roundPauseMs)
      openedCount += 1
      for (const _ of this.#hosts) {
        lastIndex = this.#preferredIndex
        const host = this.#hosts[lastIndex]
        const connected = host && (await tryConnect(host))
        // The driver goes on for ever unless this fails.
        aborted.signal.throwIfAborted()
        if (connected) return connected
        if (lastIndex === this.#preferredIndex) this.avoidPreferred()
      }
      const error = Object.assign(new Error('no server accepts connections'), { code: 'ECONNREFUSED' })
      onUnreachable(error)
      throw error
    }
    // The driver asks for another socket only where it knows of another host.
    const several = this.hasAlternatives ? this.#hosts : [...this.#hosts, ...this.#hosts]
    const options = {
      host: several.map(({ host, port }) => `${host}:${port}`).join(','),
      socket,
      // By `read-write` the driver takes a standby for a server that takes writes.
      target_session_attrs: 'primary' as const,
    }
    return { options, abort: () => aborted.abort() }
  }
}

/** A socket that is connected, or undefined where the host does not accept one in time. */
async function tryConnect({ host, port }: DatabaseHost): Promise<Socket | undefined> {
  const socket = connect(port, host)
  try {
    await once(socket, 'connect', { signal: AbortSignal.timeout(connectTimeoutMs) })
    // The driver names the server by these where it asks for TLS.
    return Object.assign(socket, { host, port })
  } catch {
    socket.on('error', () => {}).destroy()
    return undefined
  }
}
