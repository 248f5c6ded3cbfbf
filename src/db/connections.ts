import type postgres from 'postgres'
import { Call, type Line, type Overseer, type Way } from './call.ts'
import { causeWithoutQuery } from './failure.ts'
import { Running } from './running.ts'
import { type Form, type Parameters, Statement, senderOf } from './statement.ts'

/** How many connections there may be, and how long things may take, in ms. */
export type Limits = {
  max: number
  /** Calls that may wait. */
  queue: number
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

/** Makes a client of the driver for one connection, like the `first`, which calls `onClose` where its connection ends. */
type Open = (onClose: () => void, first?: postgres.Sql) => postgres.Sql

type Work<T> = (line: Line, call: Call) => PromiseLike<T>

class Transaction<T> extends Call {
  override readonly way = 'alone'
  readonly #work: Work<T>
  readonly #settle: (value: T) => void

  constructor(overseer: Overseer, work: Work<T>, settle: (value: T) => void, refuse: (error: unknown) => void) {
    super(overseer, refuse)
    this.#work = work
    this.#settle = settle
  }

  override start(line: Line): void {
    this.#work(line, this).then(
      (value) => {
        this.overseer.served(this)
        this.#settle(value)
      },
      (error: unknown) => this.overseer.failed(this, error),
    )
  }
}

/** How often calls are looked at, in ms. Time is counted in these: while the process itself stands still, none passes. */
const tick = 250
const ticks = (ms: number) => Math.ceil(ms / tick)
/** What may be on one connection at once, while all on it is quick: little is to wait behind what may be slow. */
const most = 8
const loads: Record<Way, number> = { together: 1, apart: most / 2, alone: most }
/** How many times its time an unanswered call may take until its connection is given up where others still answer. */
const stuck = 3
/** How long calls on connections that are given up may take to finish, in s. */
const farewell = 1
/** How old a connection gets at least, and twice that at most: so that all of a balancer's servers come to be used. */
const lifetimeMs = 30 * 60_000
/** So many statements are prepared over a connection, each with its plan in PostgreSQL's memory, until it is replaced. */
const maxPrepared = 500

/** There is no such prepared statement, or there is one of this name (PostgreSQL, appendix A). */
const lostStatement = new Set<unknown>(['26000', '42P05'])

const takes = ({ quick, load }: Line, way: Way) => quick && load + loads[way] <= most

/**
 * Says which connection a call goes to, gives each an end in time and not too many to the server. The driver does none of
 * that, and a statement on a dead connection never settles. Reads that are asked for in the same turn of the event loop go
 * together: sending a packet takes longer than answering one. Where the server stays silent its connections are given up,
 * and new ones are tried by one call at a time until it answers.
 */
export class Connections implements Overseer {
  readonly #open: Open
  readonly #limits: Limits
  readonly #onStatementLost: () => void
  readonly #lines: Line[]
  /** The one that has waited longest first. */
  readonly #waiting: Call[] = []
  readonly #running = new Running()
  /** What reads of this turn go to. */
  #gathering: Line | undefined
  /** False from when it looks as if the server could not be reached, until it answers. */
  #proven = true
  /** The ticks since the server said something, while it owed answers. */
  #silent = 0
  #ended = false
  #clock: ReturnType<typeof setInterval> | undefined
  /** The first client: that of the first connection, and what its settings are read from when that is long gone. */
  readonly sql: postgres.Sql

  /** `onStatementLost` is called each time that PostgreSQL does not know what was prepared. */
  constructor(open: Open, limits: Limits, onStatementLost: () => void) {
    this.#open = open
    this.#limits = limits
    this.#onStatementLost = onStatementLost
    const first = this.#newLine()
    this.sql = first.sql
    this.#lines = [first]
  }

  get use(): PoolUse {
    const { max } = this.#limits
    const inUse = this.#lines.filter(({ calls }) => calls > 0).length
    const sent = this.#lines.reduce((sum, { calls }) => sum + calls, 0)
    return { inUse, waiting: this.#waiting.length + Math.max(0, sent - max), max }
  }

  /** The rows of a statement. Rejects with a {@link PoolError} where it takes too long. */
  ask(asked: { text: string; parameters: Parameters; prepare: boolean; form: Form }): Promise<unknown> {
    return new Promise((resolve, reject) => this.#admit(new Statement(this, asked, resolve, reject)))
  }

  /** Does `work`, which takes a connection for itself. Rejects with a {@link PoolError} where that takes too long. */
  transact<T>(work: Work<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => this.#admit(new Transaction(this, work, resolve, reject)))
  }

  heard({ line }: Call): void {
    if (!line || line.givenUp) return
    this.#silent = 0
    line.wasReached = true
  }

  served(call: Call): void {
    this.heard(call)
    if (!call.line?.givenUp) this.#proven = true
    this.#finish(call)
  }

  failed(call: Call, error: unknown): void {
    if (error instanceof Error && error.name === 'PostgresError') this.heard(call)
    if (codeOf(error) === 'CONNECT_TIMEOUT' && !call.line?.givenUp) this.#proven = false
    this.repeated(causeWithoutQuery(error))
    this.#finish(call)
    call.fail(error)
  }

  repeated(error: unknown): void {
    if (lostStatement.has(codeOf(error))) this.#onStatementLost()
  }

  async end(options?: { timeout?: number | undefined }): Promise<void> {
    this.#ended = true
    await Promise.all([...this.#lines].map(({ sql }) => sql.end(options)))
    clearInterval(this.#clock)
  }

  #admit(call: Call): void {
    if (this.#waiting.length >= this.#limits.queue) {
      call.fail(new PoolError('POOL_FULL', 'too many calls wait for a connection'))
      return
    }
    this.#waiting.push(call)
    this.#startWaiting()
    this.#clock ??= setInterval(() => this.#look(), tick)
  }

  #startWaiting(): void {
    for (let call = this.#waiting[0]; call; call = this.#waiting[0]) {
      const line = this.#lineFor(call)
      if (!line) return
      this.#waiting.shift()
      this.#running.add(call)
      line.calls += 1
      line.load += loads[call.way]
      if (call.way === 'together') this.#gather(line)
      call.line = line
      if (call.prepares !== undefined && line.prepared.add(call.prepares).size > maxPrepared) line.endsAt = 0
      call.start(line)
    }
  }

  /** Where there is room for a call; undefined where there is none. */
  #lineFor({ way }: Call): Line | undefined {
    if (!this.#proven && this.#lines.some(({ calls }) => calls > 0)) return undefined
    if (way === 'together' && this.#gathering && takes(this.#gathering, way)) return this.#gathering
    for (const line of this.#lines.filter(({ calls, endsAt }) => calls === 0 && endsAt < Date.now())) this.#giveUp(line)
    const idle = this.#lines.find(({ calls }) => calls === 0) ?? this.#openLine()
    if (idle || way === 'alone') return idle
    return this.#lines.filter((line) => takes(line, way)).toSorted((a, b) => a.load - b.load)[0]
  }

  #openLine(): Line | undefined {
    if (this.#ended || this.#lines.length >= this.#limits.max) return undefined
    const line = this.#newLine(this.sql)
    this.#lines.push(line)
    return line
  }

  #newLine(first?: postgres.Sql): Line {
    const onClose = () => {
      line.onClose?.()
      // The driver would connect anew, but it keeps what the lost connection was at: a call that has failed already, an
      // error, bytes that were not sent.
      if (line.wasReached && !line.givenUp && !this.#ended) this.#giveUp(line)
    }
    const sql = this.#open(onClose, first)
    const line: Line = {
      sql,
      send: senderOf(sql),
      calls: 0,
      load: 0,
      quick: true,
      wasReached: false,
      givenUp: false,
      onClose: undefined,
      prepared: new Set(),
      endsAt: Date.now() + lifetimeMs * (1 + Math.random()),
    }
    return line
  }

  #gather(line: Line): void {
    if (!this.#gathering)
      setImmediate(() => {
        this.#gathering = undefined
      })
    this.#gathering = line
  }

  #finish(call: Call): void {
    if (call.over) return
    const { line } = call
    call.over = true
    this.#running.delete(call)
    if (!line) return
    line.calls -= 1
    line.load -= loads[call.way]
    // Not in the midst of the driver's own work with the answer.
    if (this.#waiting.length > 0) queueMicrotask(() => this.#startWaiting())
  }

  /** Ends what has taken too long. */
  #look(): void {
    for (const call of this.#waiting) call.spent += 1
    const overdue = this.#waiting.filter(({ spent }) => spent > ticks(this.#limits.wait))
    for (const call of this.#waiting.splice(0, overdue.length))
      call.fail(new PoolError('DEADLINE', 'no connection was free in time'))
    const total = ticks(this.#limits.total)
    let owing = false
    for (const line of this.#lines) line.quick = true
    for (const call of this.#running.all()) {
      const { line } = call
      if (call.failure !== undefined && line?.givenUp) this.#running.delete(call)
      if (call.owed === 0) continue
      call.spent += 1
      if (call.spent > total) call.fail(new PoolError('DEADLINE', 'the database did not answer in time'))
      if (!line || line.givenUp) continue
      owing = true
      if (call.spent > 1) line.quick = false
      if (call.spent > stuck * total) this.#giveUp(line)
    }
    this.#silent = owing ? this.#silent + 1 : 0
    if (this.#silent > ticks(this.#limits.silence)) this.#giveUpAll()
    this.#startWaiting()
    if (this.#waiting.length + this.#running.size > 0) return
    clearInterval(this.#clock)
    this.#clock = undefined
  }

  #giveUpAll(): void {
    for (const line of [...this.#lines]) this.#giveUp(line)
    this.#proven = false
    this.#silent = 0
  }

  #giveUp(line: Line): void {
    line.givenUp = true
    this.#lines.splice(this.#lines.indexOf(line), 1)
    if (this.#gathering === line) this.#gathering = undefined
    void line.sql.end({ timeout: farewell }).catch(() => {})
  }
}

const codeOf = (error: unknown) => (error instanceof Error && 'code' in error ? error.code : undefined)
