import { randomUUID } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { Answer, patient } from './api.ts'
import { expectDocumented } from './documented.ts'

/** A request and what became of it. `sent` and `ms` are of the clock of `performance`. */
export type Outcome = { requestId: string; write: boolean; sent: number; ms: number; answer: Answer }

/** How long a client rests between two requests, in ms, so that refusals do not become a storm. */
const pace = 25

/** Clients that add patients and read them back, each one request after the other, until they are stopped. */
export class Load {
  readonly outcomes: Outcome[] = []
  /** Requests that got no answer at all, or one that is not as the OpenAPI document says. */
  readonly unanswered: unknown[] = []
  readonly #api: string
  readonly #token: string
  readonly #clients: Promise<void>[]
  #stopped = false

  constructor(api: string, token: string, clients = 6) {
    this.#api = api
    this.#token = token
    this.#clients = Array.from({ length: clients }, () => this.#client())
  }

  get acknowledged(): Outcome[] {
    return this.outcomes.filter(({ answer }) => answer.status < 300)
  }

  get refused(): Outcome[] {
    return this.outcomes.filter(({ answer }) => answer.status >= 300)
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#clients)
  }

  async #client(): Promise<void> {
    let known: string | undefined
    for (let write = true; !this.#stopped; write = !write || known === undefined) {
      const outcome: Outcome | undefined = write
        ? await this.#ask('POST', '/api/patients', patient())
        : await this.#ask('GET', `/api/patients/${known}`)
      if (outcome?.answer.status === 201) known = outcome.answer.id
      await setTimeout(pace)
    }
  }

  async #ask(method: string, path: string, body?: unknown): Promise<Outcome | undefined> {
    const requestId = randomUUID()
    const sent = performance.now()
    try {
      const response = await fetch(`${this.#api}${path}`, {
        method,
        headers: {
          Authorization: `Bearer ${this.#token}`,
          'Content-Type': 'application/json',
          'X-Request-Id': requestId,
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(20_000),
      })
      const answer = new Answer(response.status, response.headers, await response.text())
      expectDocumented(method, path, answer.status, answer.headers, answer.body)
      const outcome = { requestId, write: method === 'POST', sent, ms: performance.now() - sent, answer }
      this.outcomes.push(outcome)
      return outcome
    } catch (error) {
      this.unanswered.push(error)
      return undefined
    }
  }
}
