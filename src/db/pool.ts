import type postgres from 'postgres'

/** How many connections there may be, and how long a call may take, in ms. */
export type Limits = {
  max: number
  /** Until it has a connection. */
  wait: number
  /** Until the server, which is to give up sooner by itself, says anything at all. */
  silence: number
  /** In all, without the time that a transaction spends between its statements. */
  total: number
}

/** What a pool is at: connections in use, calls that wait for one, and how many connections there may be. */
export type PoolUse = { inUse: number; waiting: number; max: number }

/** A call that was not served in time, or at once refused because too many wait already. */
export class PoolError extends Error {
  override name = 'PoolError'
  readonly code: 'DEADLINE' | 'POOL_FULL'

  constructor(code: 'DEADLINE' | 'POOL_FULL', message: string) {
    super(message)
    this.code = code
  }
}

/** The connections of one time. `proven` until it looks as if the server could not be reached. */
type Generation = { sql: postgres.Sql; inUse: number; proven: boolean }

/** A statement or a transaction, on its way. */
export class Call {
  readonly start: (generation: Generation) => void
  readonly #reject: (error: unknown) => void
  generation: Generation | undefined
  /** Answers that the server owes. */
  owed = 1
  /** Ticks in all, and those since the server last answered. */
  spent = 0
  silent = 0
  failure: unknown
  onFailure: ((error: unknown) => void) | undefined

  constructor(start: (generation: Generation) => void, reject: (error: unknown) => void) {
    this.start = start
    this.#reject = reject
  }

  asked(): void {
    if (this.owed === 0) this.silent = 0
    this.owed += 1
  }

  answered(): void {
    this.silent = 0
    this.owed -= 1
  }

  fail(error: unknown): void {
    if (this.failure !== undefined) return
    this.failure = error
    this.#reject(error)
    this.onFailure?.(error)
  }
}

/** How often calls are looked at, in ms. Time is counted in these: while the process itself stands still, none passes. */
const tick = 250
const ticks = (ms: number) => Math.ceil(ms / tick)
/** Calls that may wait for each connection. */
const queued = 100
/** How long calls on a given-up connection's neighbours may take to finish, in s. */
const farewell = 1

/**
 * Gives each call a connection of its own and an end in time. The driver does neither: it lines statements up behind
 * one another, and one on a dead connection never settles. A connection that stays silent is given up together with
 * its generation, and a new one is tried by one call at a time until it answers.
 */
export class Pool {
  readonly #open: (before: postgres.Sql | undefined) => postgres.Sql
  readonly #limits: Limits
  readonly #waiting = new Set<Call>()
  readonly #running = new Set<Call>()
  #current: Generation
  #clock: ReturnType<typeof setInterval> | undefined

  /** `open` makes the driver's pool, and makes it anew in the place of the one `before`. */
  constructor(open: (before: postgres.Sql | undefined) => postgres.Sql, limits: Limits) {
    this.#open = open
    this.#limits = limits
    this.#current = { sql: open(undefined), inUse: 0, proven: true }
  }

  get sql(): postgres.Sql {
    return this.#current.sql
  }

  get use(): PoolUse {
    return { inUse: this.#current.inUse, waiting: this.#waiting.size, max: this.#limits.max }
  }

  /** Does `work` as soon as a connection is free. Rejects with a {@link PoolError} where that takes too long. */
  run<T>(work: (sql: postgres.Sql, call: Call) => PromiseLike<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const call = new Call((generation) => {
        work(generation.sql, call).then(
          (value) => {
            generation.proven = true
            this.#finish(call, generation)
            resolve(value)
          },
          (error: unknown) => {
            if (isUnreached(error)) generation.proven = false
            this.#finish(call, generation)
            call.fail(error)
          },
        )
      }, reject)
      if (this.#waiting.size >= queued * this.#limits.max)
        return call.fail(new PoolError('POOL_FULL', 'too many calls wait for a connection'))
      this.#waiting.add(call)
      this.#startWaiting()
      this.#clock ??= setInterval(() => this.#look(), tick)
    })
  }

  async end(options?: { timeout?: number | undefined }): Promise<void> {
    await this.#current.sql.end(options)
    clearInterval(this.#clock)
  }

  #startWaiting(): void {
    const generation = this.#current
    for (const call of this.#waiting) {
      if (generation.inUse >= (generation.proven ? this.#limits.max : 1)) return
      this.#waiting.delete(call)
      this.#running.add(call)
      generation.inUse += 1
      call.generation = generation
      call.start(generation)
    }
  }

  #finish(call: Call, generation: Generation): void {
    this.#running.delete(call)
    generation.inUse -= 1
    if (generation === this.#current) this.#startWaiting()
  }

  #look(): void {
    for (const call of this.#waiting) {
      call.spent += 1
      if (call.spent <= ticks(this.#limits.wait)) continue
      this.#waiting.delete(call)
      call.fail(new PoolError('DEADLINE', 'no connection was free in time'))
    }
    let silent = false
    for (const call of this.#running) {
      if (call.owed === 0) continue
      call.spent += 1
      call.silent += 1
      const lost = call.silent > ticks(this.#limits.silence)
      if (lost) this.#running.delete(call)
      if (lost && call.generation === this.#current) silent = true
      if (lost || call.spent > ticks(this.#limits.total))
        call.fail(new PoolError('DEADLINE', 'the database did not answer in time'))
    }
    if (silent) this.#replace()
    if (this.#waiting.size + this.#running.size > 0) return
    clearInterval(this.#clock)
    this.#clock = undefined
  }

  #replace(): void {
    const { sql } = this.#current
    this.#current = { sql: this.#open(sql), inUse: 0, proven: false }
    void sql.end({ timeout: farewell }).catch(() => {})
    this.#startWaiting()
  }
}

const isUnreached = (error: unknown) => error instanceof Error && 'code' in error && error.code === 'CONNECT_TIMEOUT'
