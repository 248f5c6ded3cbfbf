import type postgres from 'postgres'
import { Call, type Line, type Overseer, type Way } from './call.ts'

export type Parameters = postgres.ParameterOrJSON<never>[]

/** Rows as lists of values in the order of their columns, or as objects. */
export type Form = 'values' | 'objects'

/** A read of rows: a write waits for the disk, and counting goes through all there is. */
const quick = /^select (?!count\()/

/**
 * A statement, in the shape of the driver's own `Query`, which is not used: its constructor assigns functions to its
 * properties, V8 allocates such functions as long-lived, and each holds the query and its rows until the next collection
 * of the whole heap.
 */
export class Statement extends Call {
  override readonly way: Way
  // What the driver reads.
  readonly strings: [string]
  readonly args: Parameters
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
    overseer: Overseer,
    { text, parameters, prepare, form }: { text: string; parameters: Parameters; prepare: boolean; form: Form },
    settle: (rows: unknown) => void,
    refuse: (error: unknown) => void,
  ) {
    super(overseer, refuse, prepare ? text : undefined)
    this.way = prepare && quick.test(text) ? 'together' : 'apart'
    this.strings = [text]
    this.args = parameters
    this.options = { prepare, simple: parameters.length === 0 }
    this.isRaw = form === 'values' && form
    this.#settle = settle
  }

  override start({ send }: Line): void {
    send(this)
  }

  resolve(rows: unknown): void {
    this.active = false
    if (this.retried !== null) this.overseer.repeated(this.retried)
    this.overseer.served(this)
    this.#settle(rows)
  }

  reject(error: unknown): void {
    this.active = false
    this.overseer.failed(this, error)
  }
}

export type Send = (statement: Statement) => void
const isSend = (value: unknown): value is Send => typeof value === 'function'

/** What the queries of the driver's client `sql` are sent by. @throws where another version of the driver has no such thing */
export function senderOf(sql: postgres.Sql): Send {
  const handler: unknown = Reflect.get(sql.unsafe(''), 'handler')
  if (isSend(handler)) return handler
  throw new Error('this version of postgres.js sends its queries in another way')
}
