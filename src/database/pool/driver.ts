import type postgres from 'postgres'
import { type Connection, PoolTask, type SchedulingMode, type SendQuery, type TaskListener } from './task.ts'

/** The parameters of a statement, as the driver takes them. */
export type QueryParams = postgres.ParameterOrJSON<never>[]

/** Rows as lists of values in the order of their columns, or as objects. */
export type RowMode = 'values' | 'objects'

/** A statement and what it is sent with; `prepare` where PostgreSQL keeps its plan for the connection. */
export type Statement = { text: string; parameters: QueryParams; prepare: boolean }

/** A read of rows: a write waits for the disk, and counting goes through all there is. */
const quickReadPattern = /^select (?!count\()/

/**
 * A statement, in the shape of the driver's own `Query`, which is not used: its constructor assigns functions to its
 * properties, V8 allocates such functions as long-lived, and each holds the query and its rows until the next collection
 * of the whole heap.
 */
export class Query extends PoolTask {
  override readonly mode: SchedulingMode
  // What the driver reads.
  readonly strings: [string]
  readonly args: QueryParams
  readonly options: { prepare: boolean; simple: boolean }
  readonly isRaw: 'values' | false
  readonly tagged = false
  readonly origin = ''
  // What it keeps with a query.
  state: unknown = null
  statement: unknown = null
  active = false
  cancelled: unknown = null
  signature = ''
  /** The error for which the driver sent it again. */
  retried: unknown = null

  readonly #settle: (rows: unknown) => void

  constructor(
    listener: TaskListener,
    { text, parameters, prepare, rowMode }: Statement & { rowMode: RowMode },
    settle: (rows: unknown) => void,
    reject: (error: unknown) => void,
  ) {
    super(listener, reject, prepare ? text : undefined)
    this.mode = prepare && quickReadPattern.test(text) ? 'pipelined' : 'isolated'
    this.strings = [text]
    this.args = parameters
    this.options = { prepare, simple: parameters.length === 0 }
    this.isRaw = rowMode === 'values' && rowMode
    this.#settle = settle
  }

  override start({ send }: Connection): void {
    send(this)
  }

  resolve(rows: unknown): void {
    this.active = false
    if (this.retried !== null) this.listener.onResent(this.retried)
    this.listener.onDone(this)
    this.#settle(rows)
  }

  reject(error: unknown): void {
    this.active = false
    this.listener.onError(this, error)
  }
}

const isSendQuery = (value: unknown): value is SendQuery => typeof value === 'function'

/** Sends queries by what the driver documents: more of the processor for each, and rows that live longer. */
const createDocumentedSendQuery =
  (sql: postgres.Sql): SendQuery =>
  (query) => {
    if (!(query instanceof Query)) throw new TypeError('not a query')
    const { strings, args, options, isRaw } = query
    const pending = sql.unsafe(strings[0], args, { prepare: options.prepare })
    const rows: PromiseLike<unknown> = isRaw ? pending.values() : pending
    rows.then(
      (result) => query.resolve(result),
      (error: unknown) => query.reject(error),
    )
  }

/** What queries are sent by to the driver's client `sql`: its own, or where another version has none, what it documents. */
export function getSendQuery(sql: postgres.Sql): SendQuery {
  const handler: unknown = Reflect.get(sql.unsafe(''), 'handler')
  return isSendQuery(handler) ? handler : createDocumentedSendQuery(sql)
}
