import { type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { getRequestListener, RequestError } from '@hono/node-server'
import type { Logger } from '../../context.ts'
import { invalidFieldProblem, Problem, type ProblemType } from '../../http/problem.ts'
import { buildProblemResponse } from '../../http/problem-response.ts'
import { UnreadAnswers } from './unread-answers.ts'

/** How long a refused connection is still read, in ms: closed at once, it would take the answer with it. */
const lingerMs = 1000

/** What Node's own faults come to. Any other is a request that cannot be read. */
const problemTypeByErrorCode: Record<string, ProblemType> = {
  ERR_HTTP_REQUEST_TIMEOUT: 'request-timeout',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: 'payload-too-large',
  HPE_HEADER_OVERFLOW: 'headers-too-large',
}
const unreadableRequestProblem = () =>
  invalidFieldProblem('', 'is not an HTTP/1.1 request that can be read', 'malformed')
const badTargetProblem = () =>
  invalidFieldProblem('', 'asks for no URL that there can be: see its path and its Host', 'malformed')

/** How often the request names a host. Of two, Node would take the first and a proxy the other (RFC 9112, section 3.2). */
const countHostHeaders = ({ rawHeaders }: IncomingMessage) =>
  rawHeaders.filter((name, index) => index % 2 === 0 && name.length === 4 && name.toLowerCase() === 'host').length

/** Where so many requests of a connection wait for the answer before them, no more of it is read. */
const maxPipelinedPerConnection = 16
/**
 * So many requests wait on all connections, each taking about 5 KB. Beyond, a connection that sends another is cut: browsers
 * and proxies send none before the answer to the one before.
 */
const maxPipelinedTotal = 10_000
/** So much of the answers of all connections is kept for clients that do not read them. Of text it takes up to four times. */
const maxUnreadBytes = 32 * 1024 * 1024

/**
 * Lets the requests of each connection of `server` be answered one behind the other, each once the answer before it has
 * been taken by the client. Node itself hands over all that were sent in a row, and keeps their answers in memory for a
 * client that reads none of them.
 */
function serializeRequests(server: Server) {
  const waitingBySocket = new WeakMap<Duplex, (() => void)[]>()
  let waitingTotal = 0
  const countWaiting = (socket: Duplex) => waitingBySocket.get(socket)?.length ?? 0

  server.on('connection', (socket) => {
    // Node resumes a socket after each request and before each body that it reads, whoever paused it.
    socket.on('resume', () => {
      if (countWaiting(socket) < maxPipelinedPerConnection) return
      // Where it was paused again meanwhile, pausing it would tell nobody, and Node would go on reading.
      if (socket.isPaused()) socket.emit('pause')
      else socket.pause()
    })
    socket.once('close', () => {
      waitingTotal -= countWaiting(socket)
      waitingBySocket.delete(socket)
    })
  })

  function startNext(socket: Socket): void {
    const waiting = waitingBySocket.get(socket)
    const next = waiting?.shift()
    if (!next) {
      waitingBySocket.delete(socket)
      return
    }
    waitingTotal -= 1
    if (waiting?.length === maxPipelinedPerConnection - 1) socket.resume()
    next()
  }

  return {
    countWaiting,
    /** Calls `answer`, which is to answer with `outgoing`, once it is its turn. */
    enqueue(socket: Socket, outgoing: ServerResponse, answer: () => void): void {
      // Not at once: however many a connection has sent, others are served in between.
      outgoing.once('close', () => setImmediate(startNext, socket))
      const waiting = waitingBySocket.get(socket)
      if (!waiting) {
        waitingBySocket.set(socket, [])
        answer()
        return
      }
      if (waitingTotal >= maxPipelinedTotal) {
        socket.destroy()
        return
      }
      waitingTotal += 1
      if (waiting.push(answer) >= maxPipelinedPerConnection) socket.pause()
    },
  }
}

type ClientConnection = { clientAddress: string; isHttps: boolean }
type RequestHandlerOptions = {
  logger: Logger
  resolveClient(incoming: Pick<IncomingMessage, 'headers' | 'socket'>): ClientConnection
  /** Answers a request that HTTP allows. */
  fetch(request: Request, client: ClientConnection): Response | Promise<Response>
}

/**
 * Lets `fetch` answer the requests of `server`, and answers with a problem what Node or the adapter would answer bare,
 * or not at all. The server is to be made with `requireHostHeader: false`.
 */
export function handleRequests(server: Server, { logger, resolveClient, fetch }: RequestHandlerOptions): void {
  const turns = serializeRequests(server)
  const unreadAnswers = new UnreadAnswers(maxUnreadBytes)
  /** The newest answer of each connection. */
  const newestResponses = new WeakMap<Duplex, ServerResponse>()

  const getRequestId = (incoming?: IncomingMessage) => incoming?.headers['x-request-id']?.toString()
  const logRefusal = (requestId: string, status: number, code?: string) =>
    logger.info({ requestId, msg: 'refused before any route', status, code })

  /** Refuses a request that was read. */
  function refuse(incoming: IncomingMessage, outgoing: ServerResponse, problem: Problem): void {
    if (outgoing.headersSent || outgoing.destroyed) return
    const { requestId, status, headers, body } = buildProblemResponse(problem, {
      clientRequestId: getRequestId(incoming),
      isHttps: resolveClient(incoming).isHttps,
    })
    logRefusal(requestId, status)
    outgoing.writeHead(status, headers).end(body)
  }

  /** Refuses what is not to be read on: answers in plain bytes, and closes the connection. */
  function refuseConnection(socket: Duplex, problem: Problem, code?: string, incoming?: IncomingMessage): void {
    if (socket.writableEnded) return
    if (!socket.writable) {
      socket.destroy()
      return
    }
    const isHttps = incoming !== undefined && resolveClient(incoming).isHttps
    const { requestId, status, headers, body } = buildProblemResponse(problem, {
      clientRequestId: getRequestId(incoming),
      isHttps,
    })
    logRefusal(requestId, status, code)
    const lines = Object.entries({ ...headers, Date: new Date().toUTCString(), Connection: 'close' })
    const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')
    socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${head}\r\n${body}`)
    socket.resume()
    const cut = setTimeout(() => socket.destroy(), lingerMs)
    socket.once('close', () => clearTimeout(cut))
  }

  const listener = getRequestListener((request, { incoming }) => fetch(request, resolveClient(incoming)), {
    // HTTP/1.0 may leave the host out.
    hostname: 'localhost',
    errorHandler(error) {
      // A URL that the adapter cannot make: answered below, where the request is known.
      if (error instanceof RequestError) return
      logger.error({ msg: 'the app did not answer', err: error })
      const { status, headers, body } = buildProblemResponse(new Problem('internal'), {
        clientRequestId: undefined,
        isHttps: false,
      })
      return new Response(body, { status, headers })
    },
  })

  server.on('request', (incoming, outgoing) => {
    newestResponses.set(incoming.socket, outgoing)
    turns.enqueue(incoming.socket, outgoing, () => answer(incoming, outgoing))
  })

  function answer(incoming: IncomingMessage, outgoing: ServerResponse): void {
    // HTTP/0.9, to Node: a line without a version.
    if (incoming.httpVersionMajor !== 1) {
      outgoing.shouldKeepAlive = false
      refuse(incoming, outgoing, unreadableRequestProblem())
      return
    }
    const hosts = countHostHeaders(incoming)
    if (hosts > 1 || (hosts === 0 && incoming.httpVersion === '1.1')) {
      refuse(incoming, outgoing, invalidFieldProblem('Host', 'must appear exactly once', 'malformed'))
      return
    }
    // The server as a whole (RFC 9110, section 9.3.7).
    if (incoming.method === 'OPTIONS' && incoming.url === '*') incoming.url = '/'
    void listener(incoming, outgoing).then(() => {
      if (!outgoing.headersSent) refuse(incoming, outgoing, badTargetProblem())
      unreadAnswers.add(outgoing)
    })
  }

  server.on('checkExpectation', (incoming, outgoing) => {
    newestResponses.set(incoming.socket, outgoing)
    // Whether the body follows is not known, and so not where the next request begins.
    outgoing.shouldKeepAlive = false
    refuse(incoming, outgoing, new Problem('expectation-failed', { detail: 'Only 100-continue may be expected.' }))
  })

  server.on('connect', (incoming, socket) => {
    socket.on('error', () => socket.destroy())
    const headers = { Allow: 'GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS' }
    refuseConnection(socket, new Problem('method-not-allowed', { headers }), undefined, incoming)
  })

  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    // Told again for each further piece of what was refused.
    if (socket.writableEnded) return
    // It did not arrive in time because it was not read.
    if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT' && turns.countWaiting(socket) > 0) return
    const type = problemTypeByErrorCode[error.code ?? '']
    const answer = () => refuseConnection(socket, type ? new Problem(type) : unreadableRequestProblem(), error.code)
    const before = newestResponses.get(socket)
    if (!before || before.writableFinished) answer()
    // The fault is behind a whole request, whose answer comes first.
    else if (before.req.complete) before.once('close', answer)
    else if (before.headersSent) socket.destroy()
    else answer()
  })
}
