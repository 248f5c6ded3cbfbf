import type postgres from 'postgres'

/** How many connections there may be, and how long things may take, in ms. */
export type Limits = {
  max: number
  /** A call, until it is sent. */
  wait: number
  /** A call in all, without the time that a transaction spends between its statements. */
  total: number
  /** The server, which is to stop a statement sooner by itself, until it says anything at all. */
  silence: number
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

/**
 * The connections of one time. `load` is what `calls` run on them, `quick` while none of those takes long; `proven` until
 * it looks as if the server could not be reached; `silent` are the ticks since the server said something, while it owed
 * answers.
 */
type Generation = {
  sql: postgres.Sql
  load: number
  calls: number
  quick: boolean
  proven: boolean
  silent: number
}

const generation = (sql: postgres.Sql, proven: boolean): Generation => ({
  sql,
  load: 0,
  calls: 0,
  quick: true,
  proven,
  silent: 0,
})

/** A statement or a transaction, on its way. */
export class Call {
  /** Part of a {@link Generation}'s load. */
  readonly load: number
  readonly start: (generation: Generation) => void
  readonly #reject: (error: unknown) => void
  generation: Generation | undefined
  /** Answers that the server owes, and the ticks in which it owed any. */
  owed = 1
  spent = 0
  /** Why its caller was told that it failed. */
  failure: unknown
  /** Whether the driver is done with it. */
  over = false
  onFailure: ((error: unknown) => void) | undefined

  constructor(load: number, start: (generation: Generation) => void, reject: (error: unknown) => void) {
    this.load = load
    this.start = start
    this.#reject = reject
  }

  asked(): void {
    this.owed += 1
  }

  answered(): void {
    this.owed -= 1
    if (this.generation) this.generation.silent = 0
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
/** Statements that are sent ahead on one connection while all are quick: one must not wait behind a slow one. */
const ahead = 8
/** Calls that may wait for each connection. */
const queued = 100
/** How many times its time an unanswered call may take until its connection is given up where others still answer. */
const stuck = 3
/** How long calls on connections that are given up may take to finish, in s. */
const farewell = 1

/**
 * Gives each call an end in time and not too many calls to the server. The driver does neither, and a statement on a
 * dead connection never settles. Where the server stays silent its connections are given up, and new ones are tried by
 * one call at a time until it answers.
 */
export class Connections {
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
    this.#current = generation(open(undefined), true)
  }

  get sql(): postgres.Sql {
    return this.#current.sql
  }

  get use(): PoolUse {
    const { max } = this.#limits
    const running = this.#running.size
    return { inUse: Math.min(running, max), waiting: this.#waiting.size + Math.max(0, running - max), max }
  }

  /**
   * Does `work` as soon as there is room for it; `alone` where it takes a connection for itself.
   * Rejects with a {@link PoolError} where that takes too long.
   */
  run<T>(work: (sql: postgres.Sql, call: Call) => PromiseLike<T>, alone = false): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const start = (generation: Generation) =>
        work(generation.sql, call).then(
          (value) => {
            generation.proven = true
            generation.silent = 0
            this.#finish(call, generation)
            resolve(value)
          },
          (error: unknown) => {
            if (codeOf(error) === 'CONNECT_TIMEOUT') generation.proven = false
            if (error instanceof Error && error.name === 'PostgresError') generation.silent = 0
            this.#finish(call, generation)
            call.fail(error)
          },
        )
      const call = new Call(alone ? ahead : 1, start, reject)
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

  #hasRoom(more: number): boolean {
    const { load, calls, quick, proven } = this.#current
    if (!proven) return calls === 0
    return quick ? load + more <= ahead * this.#limits.max : calls < this.#limits.max
  }

  #startWaiting(): void {
    const generation = this.#current
    for (const call of this.#waiting) {
      if (!this.#hasRoom(call.load)) return
      this.#waiting.delete(call)
      this.#running.add(call)
      generation.load += call.load
      generation.calls += 1
      call.generation = generation
      call.start(generation)
    }
  }

  #finish(call: Call, generation: Generation): void {
    call.over = true
    this.#running.delete(call)
    generation.load -= call.load
    generation.calls -= 1
    if (generation === this.#current) this.#startWaiting()
  }

  /** Ends what has taken too long. */
  #look(): void {
    for (const call of this.#waiting) {
      call.spent += 1
      if (call.spent <= ticks(this.#limits.wait)) continue
      this.#waiting.delete(call)
      call.fail(new PoolError('DEADLINE', 'no connection was free in time'))
    }
    const total = ticks(this.#limits.total)
    let owing = false
    let dead = false
    let quick = true
    for (const call of this.#running) {
      const current = call.generation === this.#current
      if (call.failure !== undefined && !current) this.#running.delete(call)
      if (call.owed === 0) continue
      call.spent += 1
      if (call.spent > total) call.fail(new PoolError('DEADLINE', 'the database did not answer in time'))
      owing ||= current
      quick &&= !current || call.spent <= 1
      dead ||= current && call.spent > stuck * total
    }
    this.#current.quick = quick
    this.#current.silent = owing ? this.#current.silent + 1 : 0
    if (dead || this.#current.silent > ticks(this.#limits.silence)) this.#replace()
    if (this.#waiting.size + this.#running.size > 0) return
    clearInterval(this.#clock)
    this.#clock = undefined
  }

  #replace(): void {
    const { sql } = this.#current
    this.#current = generation(this.#open(sql), false)
    void sql.end({ timeout: farewell }).catch(() => {})
    this.#startWaiting()
  }
}

const codeOf = (error: unknown) => (error instanceof Error && 'code' in error ? error.code : undefined)
