import type postgres from 'postgres'
import type { Send } from './statement.ts'

/** One connection, with a client of the driver of its own: so it can be said what goes where. */
export type Line = {
  readonly sql: postgres.Sql
  readonly send: Send
  calls: number
  /** Of what is on it. */
  load: number
  /** Whether nothing on it takes long. */
  quick: boolean
  /** Whether the server has said something over it. */
  wasReached: boolean
  givenUp: boolean
  /** What PostgreSQL has prepared over it. */
  readonly prepared: Set<string>
  /** When it is to be replaced, in ms since 1970. */
  endsAt: number
  /** Called where the connection ends. */
  onClose: (() => void) | undefined
}

/**
 * How a call travels: `together` with others of its kind, in one packet; `apart` from those, on a connection where nothing
 * else is, if there is one; `alone`, on a connection that is its own until it is over.
 */
export type Way = 'together' | 'apart' | 'alone'

/** Whom a call tells what it hears from the server, and that the driver is done with it. */
export interface Overseer {
  heard(call: Call): void
  served(call: Call): void
  failed(call: Call, error: unknown): void
  /** The driver has sent a statement again, for this `error`. */
  repeated(error: unknown): void
}

/** A statement or a transaction, on its way. */
export abstract class Call {
  abstract readonly way: Way
  /** The statement that PostgreSQL prepares for it, and keeps for as long as the connection lasts. */
  readonly prepares: string | undefined
  protected readonly overseer: Overseer
  readonly #refuse: (error: unknown) => void
  line: Line | undefined
  /** Where it stands among those under way. */
  place = -1
  /** Answers that the server owes, and the ticks in which it owed any. */
  owed = 1
  spent = 0
  /** Why its caller was told that it failed. */
  failure: unknown
  /** Whether the driver is done with it. */
  over = false
  onFailure: ((error: unknown) => void) | undefined

  constructor(overseer: Overseer, refuse: (error: unknown) => void, prepares?: string) {
    this.overseer = overseer
    this.prepares = prepares
    this.#refuse = refuse
  }

  abstract start(line: Line): void

  asked(): void {
    this.owed += 1
  }

  answered(): void {
    this.owed -= 1
    this.overseer.heard(this)
  }

  fail(error: unknown): void {
    if (this.failure !== undefined) return
    this.failure = error
    this.#refuse(error)
    this.onFailure?.(error)
  }
}
