import { getPathNoStrict } from 'hono/utils/url'
import { tooManyWaitingProblem } from '../../features/auth/passwords.ts'

/** The requests that check or make a password, and so keep an isolate's one thread from all else for a while. */
const passwordRequestPattern = /^(POST \/api\/(auth\/(register|login|password|reset)|users)|PATCH \/api\/auth\/me)$/

/** Whether a request hashes a password, which takes an isolate some 60 ms. Its path is read as the router reads it. */
export const usesPassword = (request: Request): boolean =>
  passwordRequestPattern.test(`${request.method} ${getPathNoStrict(request)}`)

/** How many such requests an isolate works on at once: while one computes, the others talk to the database. */
const maxActiveRequests = 4
const maxWaitingRequests = 1000
const maxRequestWaitMs = 30_000
/** A request that was cancelled says nothing any more: after so long its place is free. */
const abandonedAfterMs = 10_000
const minPollMs = 20
const maxPollMs = 250

type QueueTicket = { seenAtMs: number }

/**
 * Lets the requests of an isolate that take a password on in their order. Each looks by itself whether it is its turn,
 * since a request may wait for nothing that another one does: that one may be cancelled at any time.
 */
export class PasswordQueue {
  #tickets: QueueTicket[] = []

  /**
   * Waits, and says how to give the turn back.
   * @throws {Problem} 503 where too many wait, or this one has waited too long
   */
  async waitForTurn(): Promise<() => void> {
    if (this.#tickets.length >= maxActiveRequests + maxWaitingRequests) throw tooManyWaitingProblem()
    const ticket: QueueTicket = { seenAtMs: Date.now() }
    const deadlineMs = ticket.seenAtMs + maxRequestWaitMs
    const leave = () => {
      this.#tickets = this.#tickets.filter((other) => other !== ticket)
    }
    this.#tickets.push(ticket)
    for (;;) {
      const before = this.#countBefore(ticket)
      if (before < maxActiveRequests) return leave
      if (ticket.seenAtMs > deadlineMs) {
        leave()
        throw tooManyWaitingProblem()
      }
      const ms = Math.min(maxPollMs, minPollMs * (before - maxActiveRequests + 1))
      await new Promise<void>((resolve) => setTimeout(resolve, ms))
    }
  }

  /** How many are before it. */
  #countBefore(ticket: QueueTicket): number {
    const now = Date.now()
    ticket.seenAtMs = now
    const [first] = this.#tickets
    if (first && first.seenAtMs < now - abandonedAfterMs)
      this.#tickets = this.#tickets.filter(({ seenAtMs }) => seenAtMs >= now - abandonedAfterMs)
    const place = this.#tickets.indexOf(ticket)
    if (place >= 0) return place
    // It was taken for abandoned, since nothing ran for long.
    return this.#tickets.push(ticket) - 1
  }
}
