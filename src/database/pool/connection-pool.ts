import type postgres from 'postgres'
import { unwrapDrizzleError } from '../errors.ts'
import { getSendQuery, Query, type RowMode, type Statement } from './driver.ts'
import type { StatementRunner, TransactionWork } from './pooled-client.ts'
import type { Connection, PoolTask, SchedulingMode, TaskListener } from './task.ts'
import { TransactionTask } from './transaction.ts'

/** How many connections there may be, and how long things may take, in ms. */
export type PoolLimits = {
  maxConnections: number
  /** Calls that may wait. */
  maxWaiting: number
  /** A call, until it is sent. */
  waitTimeoutMs: number
  /** A call in all, without the time that a transaction spends between its statements. */
  totalTimeoutMs: number
  /** The server, which is to stop a statement sooner by itself, until it says anything at all. */
  silenceTimeoutMs: number
}

/** What a pool is at: connections in use, calls that wait for one, and how many connections there may be. */
export type PoolStats = { inUse: number; waiting: number; max: number }

/** A call that was not served in time, or at once refused because too many wait already. */
export class PoolError extends Error {
  override name = 'PoolError'
  readonly code: 'DEADLINE' | 'POOL_FULL'

  constructor(code: 'DEADLINE' | 'POOL_FULL', message: string) {
    super(message)
    this.code = code
  }
}

type ConnectionEvents = {
  /** Called where the connection ends. */
  onClose: () => void
  /** Called where no server can be connected to, and the driver tells nobody. */
  onUnreachable: (error: Error) => void
}

/** Makes a client of the driver for one connection, like the `first`. `abort` lets it try no further server. */
export type OpenClient = (events: ConnectionEvents, first?: postgres.Sql) => { sql: postgres.Sql; abort: () => void }

type PoolEvents = {
  /** Called each time that PostgreSQL does not know what was prepared. */
  onStatementLost: () => void
  /** Called where a server takes no writes or no connections yet, and there are others. */
  onUnfitServer: (() => void) | undefined
}

/** How often calls are looked at, in ms. Time is counted in these: while the process itself stands still, none passes. */
const tickMs = 250
const toTicks = (durationMs: number) => Math.ceil(durationMs / tickMs)
/** What may be on one connection at once, while all on it is quick: little is to wait behind what may be slow. */
const maxLoad = 8
const loadByMode: Record<SchedulingMode, number> = { pipelined: 1, isolated: maxLoad / 2, exclusive: maxLoad }
/** How many times its time an unanswered call may take until its connection is given up where others still answer. */
const stuckTimeoutFactor = 3
/** How long calls on connections that are given up may take to finish, in s. */
const discardTimeoutSeconds = 1
/** How old a connection gets at least, and twice that at most: so that all of a balancer's servers come to be used. */
const minLifetimeMs = 30 * 60_000
/** So many statements are prepared over a connection, each with its plan in PostgreSQL's memory, until it is replaced. */
const maxPrepared = 500

/** There is no such prepared statement, or there is one of this name (PostgreSQL, appendix A). */
const lostStatementCodes = new Set<unknown>(['26000', '42P05'])

/** A write on a standby or on a primary that was demoted, and a server that starts or stops (PostgreSQL, appendix A). */
const unfitServerCodes = new Set<unknown>(['25006', '57P03'])

const hasRoom = ({ isQuick, load }: Connection, mode: SchedulingMode) => isQuick && load + loadByMode[mode] <= maxLoad

/**
 * Says which connection a call goes to, gives each an end in time and not too many to the server. The driver does none of
 * that, and a statement on a dead connection never settles. Reads that are asked for in the same turn of the event loop go
 * together: sending a packet takes longer than answering one. Where the server stays silent its connections are given up,
 * and new ones are tried by one call at a time until it answers.
 */
export class ConnectionPool implements StatementRunner, TaskListener {
  readonly #openClient: OpenClient
  readonly #limits: PoolLimits
  readonly #events: PoolEvents
  readonly #connections: Connection[]
  /** The one that has waited longest first. */
  readonly #waiting: PoolTask[] = []
  /**
   * Calls under way, in no order. No `Set`: the tables of one that has lived long keep what they held until the next
   * collection of the whole heap, and with it every row that was read.
   */
  readonly #inFlight: PoolTask[] = []
  /** What reads of this turn go to. */
  #pipelineTarget: Connection | undefined
  /** False from when it looks as if the server could not be reached, until it answers. */
  #serverReachable = true
  /** The ticks since the server said something, while it owed answers. */
  #silentTicks = 0
  #ended = false
  #deadlineTimer: ReturnType<typeof setInterval> | undefined
  /** The first client: that of the first connection, and what its settings are read from when that is long gone. */
  readonly sql: postgres.Sql

  constructor(openClient: OpenClient, limits: PoolLimits, events: PoolEvents) {
    this.#openClient = openClient
    this.#limits = limits
    this.#events = events
    const first = this.#createConnection()
    this.sql = first.sql
    this.#connections = [first]
  }

  get stats(): PoolStats {
    const { maxConnections } = this.#limits
    const inUse = this.#connections.filter(({ taskCount }) => taskCount > 0).length
    const sent = this.#connections.reduce((sum, { taskCount }) => sum + taskCount, 0)
    return { inUse, waiting: this.#waiting.length + Math.max(0, sent - maxConnections), max: maxConnections }
  }

  /** The rows of a statement. Rejects with a {@link PoolError} where it takes too long. */
  query(statement: Statement & { rowMode: RowMode }): Promise<unknown> {
    return new Promise((resolve, reject) => this.#enqueue(new Query(this, statement, resolve, reject)))
  }

  /** Does `work`, which takes a connection for itself. Rejects with a {@link PoolError} where that takes too long. */
  runTransaction(work: TransactionWork): Promise<unknown> {
    return new Promise((resolve, reject) => this.#enqueue(new TransactionTask(this, work, resolve, reject)))
  }

  onData({ connection }: PoolTask): void {
    if (!connection || connection.isDiscarded) return
    this.#silentTicks = 0
    connection.hasAnswered = true
  }

  onDone(task: PoolTask): void {
    this.onData(task)
    if (!task.connection?.isDiscarded) this.#serverReachable = true
    this.#finishTask(task)
  }

  onError(task: PoolTask, error: unknown): void {
    if (error instanceof Error && error.name === 'PostgresError') this.onData(task)
    if (getErrorCode(error) === 'CONNECT_TIMEOUT' && !task.connection?.isDiscarded) this.#serverReachable = false
    this.onResent(unwrapDrizzleError(error))
    if (unfitServerCodes.has(getErrorCode(unwrapDrizzleError(error)))) this.#leaveServer(task.connection)
    this.#finishTask(task)
    task.fail(error)
  }

  onResent(error: unknown): void {
    if (lostStatementCodes.has(getErrorCode(error))) this.#events.onStatementLost()
  }

  #leaveServer(connection: Connection | undefined): void {
    if (!this.#events.onUnfitServer || !connection || connection.isDiscarded) return
    this.#events.onUnfitServer()
    this.#discard(connection)
  }

  async end(options?: { timeout?: number | undefined }): Promise<void> {
    this.#ended = true
    await Promise.all(
      [...this.#connections].map(({ sql, abort }) => {
        abort()
        return sql.end(options)
      }),
    )
    clearInterval(this.#deadlineTimer)
  }

  #enqueue(task: PoolTask): void {
    if (this.#waiting.length >= this.#limits.maxWaiting) {
      task.fail(new PoolError('POOL_FULL', 'too many calls wait for a connection'))
      return
    }
    this.#waiting.push(task)
    this.#startWaitingTasks()
    this.#deadlineTimer ??= setInterval(() => this.#checkDeadlines(), tickMs)
  }

  #startWaitingTasks(): void {
    for (let task = this.#waiting[0]; task; task = this.#waiting[0]) {
      const connection = this.#findConnection(task)
      if (!connection) return
      this.#waiting.shift()
      task.slot = this.#inFlight.push(task) - 1
      connection.taskCount += 1
      connection.load += loadByMode[task.mode]
      if (task.mode === 'pipelined') this.#pipelineInto(connection)
      task.connection = connection
      if (task.prepares !== undefined && connection.prepared.add(task.prepares).size > maxPrepared)
        connection.expiresAtMs = 0
      task.start(connection)
    }
  }

  /** Where there is room for a call; undefined where there is none. */
  #findConnection({ mode }: PoolTask): Connection | undefined {
    if (!this.#serverReachable && this.#connections.some(({ taskCount }) => taskCount > 0)) return undefined
    if (mode === 'pipelined' && this.#pipelineTarget && hasRoom(this.#pipelineTarget, mode)) return this.#pipelineTarget
    for (const connection of this.#connections.filter(
      ({ taskCount, expiresAtMs }) => taskCount === 0 && expiresAtMs < Date.now(),
    ))
      this.#discard(connection)
    const idle = this.#connections.find(({ taskCount }) => taskCount === 0) ?? this.#addConnection()
    if (idle || mode === 'exclusive') return idle
    return this.#connections.filter((connection) => hasRoom(connection, mode)).toSorted((a, b) => a.load - b.load)[0]
  }

  #addConnection(): Connection | undefined {
    if (this.#ended || this.#connections.length >= this.#limits.maxConnections) return undefined
    const connection = this.#createConnection(this.sql)
    this.#connections.push(connection)
    return connection
  }

  #createConnection(first?: postgres.Sql): Connection {
    const onClose = () => {
      connection.onClose?.()
      // The driver would connect anew, but it keeps what the lost connection was at: a call that has failed already, an
      // error, bytes that were not sent.
      if (connection.hasAnswered && !connection.isDiscarded && !this.#ended) this.#discard(connection)
    }
    const onUnreachable = (error: Error) => {
      if (!connection.isDiscarded) this.#discard(connection)
      for (const task of this.#inFlight.filter((each) => each.connection === connection)) this.onError(task, error)
    }
    const { sql, abort } = this.#openClient({ onClose, onUnreachable }, first)
    const connection: Connection = {
      sql,
      abort,
      send: getSendQuery(sql),
      taskCount: 0,
      load: 0,
      isQuick: true,
      hasAnswered: false,
      isDiscarded: false,
      onClose: undefined,
      prepared: new Set(),
      expiresAtMs: Date.now() + minLifetimeMs * (1 + Math.random()),
    }
    return connection
  }

  #pipelineInto(connection: Connection): void {
    if (!this.#pipelineTarget)
      setImmediate(() => {
        this.#pipelineTarget = undefined
      })
    this.#pipelineTarget = connection
  }

  #finishTask(task: PoolTask): void {
    if (task.isOver) return
    const { connection } = task
    task.isOver = true
    this.#removeInFlight(task)
    if (!connection) return
    connection.taskCount -= 1
    connection.load -= loadByMode[task.mode]
    // Not in the midst of the driver's own work with the answer.
    if (this.#waiting.length > 0) queueMicrotask(() => this.#startWaitingTasks())
  }

  /** Puts the last one into its place. */
  #removeInFlight(task: PoolTask): void {
    if (this.#inFlight[task.slot] !== task) return
    const last = this.#inFlight.pop()
    if (last === undefined || last === task) return
    this.#inFlight[task.slot] = last
    last.slot = task.slot
  }

  /** Ends what has taken too long. */
  #checkDeadlines(): void {
    for (const task of this.#waiting) task.spentTicks += 1
    const overdue = this.#waiting.filter(({ spentTicks }) => spentTicks > toTicks(this.#limits.waitTimeoutMs))
    for (const task of this.#waiting.splice(0, overdue.length))
      task.fail(new PoolError('DEADLINE', 'no connection was free in time'))
    const total = toTicks(this.#limits.totalTimeoutMs)
    let isAnswerOwed = false
    for (const connection of this.#connections) connection.isQuick = true
    for (const task of [...this.#inFlight]) {
      const { connection } = task
      if (task.failure !== undefined && connection?.isDiscarded) this.#removeInFlight(task)
      if (task.pendingAnswers === 0) continue
      task.spentTicks += 1
      if (task.spentTicks > total) task.fail(new PoolError('DEADLINE', 'the database did not answer in time'))
      if (!connection || connection.isDiscarded) continue
      isAnswerOwed = true
      if (task.spentTicks > 1) connection.isQuick = false
      if (task.spentTicks > stuckTimeoutFactor * total) this.#discard(connection)
    }
    this.#silentTicks = isAnswerOwed ? this.#silentTicks + 1 : 0
    if (this.#silentTicks > toTicks(this.#limits.silenceTimeoutMs)) this.#discardAll()
    this.#startWaitingTasks()
    if (this.#waiting.length + this.#inFlight.length > 0) return
    clearInterval(this.#deadlineTimer)
    this.#deadlineTimer = undefined
  }

  #discardAll(): void {
    for (const connection of [...this.#connections]) this.#discard(connection)
    this.#serverReachable = false
    this.#silentTicks = 0
  }

  #discard(connection: Connection): void {
    connection.isDiscarded = true
    this.#connections.splice(this.#connections.indexOf(connection), 1)
    if (this.#pipelineTarget === connection) this.#pipelineTarget = undefined
    connection.abort()
    void connection.sql.end({ timeout: discardTimeoutSeconds }).catch(() => {})
  }
}

const getErrorCode = (error: unknown) => (error instanceof Error && 'code' in error ? error.code : undefined)
