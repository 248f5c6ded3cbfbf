import type postgres from 'postgres'

/** Sends a query of the driver's shape. */
export type SendQuery = (query: object) => void

/** One connection, with a client of the driver of its own: so it can be said what goes where. */
export type Connection = {
  readonly sql: postgres.Sql
  readonly send: SendQuery
  /** Lets it try no further server. */
  readonly abort: () => void
  taskCount: number
  /** Of what is on it. */
  load: number
  /** Whether nothing on it takes long. */
  isQuick: boolean
  /** Whether the server has said something over it. */
  hasAnswered: boolean
  isDiscarded: boolean
  /** What PostgreSQL has prepared over it. */
  readonly prepared: Set<string>
  /** When it is to be replaced, in ms since 1970. */
  expiresAtMs: number
  /** Called where the connection ends. */
  onClose: (() => void) | undefined
}

/**
 * How a call travels: `pipelined` with others of its kind, in one packet; `isolated` from those, on a connection where nothing
 * else is, if there is one; `exclusive`, on a connection that is its own until it is over.
 */
export type SchedulingMode = 'pipelined' | 'isolated' | 'exclusive'

/** Whom a call tells what it hears from the server, and that the driver is done with it. */
export interface TaskListener {
  onData(task: PoolTask): void
  onDone(task: PoolTask): void
  onError(task: PoolTask, error: unknown): void
  /** The driver has sent a statement again, for this `error`. */
  onResent(error: unknown): void
}

/** A statement or a transaction, on its way. */
export abstract class PoolTask {
  abstract readonly mode: SchedulingMode
  /** The statement that PostgreSQL prepares for it, and keeps for as long as the connection lasts. */
  readonly prepares: string | undefined
  protected readonly listener: TaskListener
  readonly #reject: (error: unknown) => void
  connection: Connection | undefined
  /** Where it stands among those under way. */
  slot = -1
  /** Answers that the server owes, and the ticks in which it owed any. */
  pendingAnswers = 1
  spentTicks = 0
  /** Why its caller was told that it failed. */
  failure: unknown
  /** Whether the driver is done with it. */
  isOver = false
  onFailure: ((error: unknown) => void) | undefined

  constructor(listener: TaskListener, reject: (error: unknown) => void, prepares?: string) {
    this.listener = listener
    this.prepares = prepares
    this.#reject = reject
  }

  abstract start(connection: Connection): void

  expectAnswer(): void {
    this.pendingAnswers += 1
  }

  receiveAnswer(): void {
    this.pendingAnswers -= 1
    this.listener.onData(this)
  }

  fail(error: unknown): void {
    if (this.failure !== undefined) return
    this.failure = error
    this.#reject(error)
    this.onFailure?.(error)
  }
}
