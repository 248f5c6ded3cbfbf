import { once } from 'node:events'
import type { Server, ServerResponse } from 'node:http'
import { Server as NetServer, type Socket } from 'node:net'

/** How long an idle connection is left open for a request that may be on its way, in ms. */
const idleGraceMs = 2000
/** How long connections that wait are taken at most, in ms, where they never end. */
const acceptTimeoutMs = 500

/** Resolves when the event loop has looked for what arrived, and dealt with it. */
const waitOneTurn = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)))

/** Takes the connections that wait to be taken: closing the socket would reset them, with what was sent on them. */
async function acceptPendingConnections(server: Server): Promise<void> {
  const end = performance.now() + acceptTimeoutMs
  let hasAccepted = false
  const markAccepted = () => {
    hasAccepted = true
  }
  server.on('connection', markAccepted)
  do {
    hasAccepted = false
    await waitOneTurn()
  } while (hasAccepted && performance.now() < end)
  server.off('connection', markAccepted)
}

/**
 * Lets `server` stop without failing a request: a client learns by `Connection: close` that it is to open another
 * connection, and not by finding this one closed under what it sends. To be called before requests are listened to.
 */
export function createDrainer(server: Server) {
  /** Every connection, with its newest answer. */
  const connections = new Map<Socket, ServerResponse | undefined>()
  let isDraining = false

  server.on('connection', (socket) => {
    connections.set(socket, undefined)
    socket.once('close', () => connections.delete(socket))
  })

  server.on('request', ({ socket }, response) => {
    if (isDraining) {
      // Of requests sent one behind the other, the last answer closes.
      const before = connections.get(socket)
      if (before && !before.headersSent) before.shouldKeepAlive = true
      response.shouldKeepAlive = false
    }
    connections.set(socket, response)
  })

  const closeIdle = () => {
    server.closeIdleConnections()
    // To Node, one on which nothing was ever asked is not idle.
    for (const socket of connections.keys()) if (socket.bytesRead === 0) socket.destroy()
  }

  return {
    /** Whether {@link drain} was called. */
    get isDraining() {
      return isDraining
    },

    /** Resolves when every connection has ended; those that have not after `timeoutMs` ms are cut. */
    async drain(timeoutMs: number): Promise<void> {
      await acceptPendingConnections(server)
      isDraining = true
      const closed = once(server, 'close')
      // Not the HTTP server's own: that cuts idle connections at once.
      NetServer.prototype.close.call(server)
      const timers = [setTimeout(closeIdle, idleGraceMs), setTimeout(() => server.closeAllConnections(), timeoutMs)]
      for (const response of connections.values()) {
        if (!response || response.writableFinished) continue
        if (!response.headersSent) response.shouldKeepAlive = false
        else response.once('close', () => timers.push(setTimeout(closeIdle, idleGraceMs)))
      }
      await closed
      timers.forEach(clearTimeout)
    },
  }
}
