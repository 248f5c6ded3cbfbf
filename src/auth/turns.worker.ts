import { tooManyWait } from './passwords.ts'

/** The requests that check or make a password, and so keep an isolate's one thread from all else for a while. */
const passwordRequest = /^(POST \/api\/(auth\/(register|login|password|reset)|users)|PATCH \/api\/auth\/me)\/?$/

export const takesPassword = (request: Request): boolean =>
  passwordRequest.test(`${request.method} ${new URL(request.url).pathname}`)

/** How many such requests an isolate works on at once: while one computes, the others talk to the database. */
const activeAtMost = 4
const waitingAtMost = 1000
const waitAtMostMs = 30_000
/** A request that was cancelled says nothing any more: after so long its place is free. */
const abandonedAfterMs = 10_000
const pollMs = 20
const slowestPollMs = 250

type Ticket = { seenAt: number }

/**
 * Lets the requests of an isolate that take a password on in their order. Each looks by itself whether it is its turn,
 * since a request may wait for nothing that another one does: that one may be cancelled at any time.
 */
export class Turns {
  #tickets: Ticket[] = []

  /**
   * Waits, and says how to give the turn back.
   * @throws {Problem} 503 where too many wait, or this one has waited too long
   */
  async take(): Promise<() => void> {
    if (this.#tickets.length >= activeAtMost + waitingAtMost) throw tooManyWait()
    const ticket: Ticket = { seenAt: Date.now() }
    const latest = ticket.seenAt + waitAtMostMs
    const leave = () => {
      this.#tickets = this.#tickets.filter((other) => other !== ticket)
    }
    this.#tickets.push(ticket)
    for (;;) {
      const before = this.#placeOf(ticket)
      if (before < activeAtMost) return leave
      if (ticket.seenAt > latest) {
        leave()
        throw tooManyWait()
      }
      const ms = Math.min(slowestPollMs, pollMs * (before - activeAtMost + 1))
      await new Promise<void>((resolve) => setTimeout(resolve, ms))
    }
  }

  /** How many are before it. */
  #placeOf(ticket: Ticket): number {
    const now = Date.now()
    ticket.seenAt = now
    const [first] = this.#tickets
    if (first && first.seenAt < now - abandonedAfterMs)
      this.#tickets = this.#tickets.filter(({ seenAt }) => seenAt >= now - abandonedAfterMs)
    const place = this.#tickets.indexOf(ticket)
    if (place >= 0) return place
    // It was taken for abandoned, since nothing ran for long.
    return this.#tickets.push(ticket) - 1
  }
}
