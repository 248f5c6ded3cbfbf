import type postgres from 'postgres'
import type { QueryParams, RowMode, Statement } from './driver.ts'

/** What statements are sent through: the pool, or a transaction of one of its connections. */
export type StatementRunner = {
  /** The rows of a statement. */
  query(statement: Statement & { rowMode: RowMode }): Promise<unknown>
}

/** A statement as Drizzle takes it: it runs once, when it is awaited for its rows as objects or asked for them as lists. */
export class PendingQuery implements PromiseLike<unknown> {
  readonly #runner: StatementRunner
  readonly #statement: Statement
  #rows: Promise<unknown> | undefined

  constructor(runner: StatementRunner, statement: Statement) {
    this.#runner = runner
    this.#statement = statement
  }

  values(): Promise<unknown> {
    this.#rows ??= this.#runner.query({ ...this.#statement, rowMode: 'values' })
    return this.#rows
  }

  // biome-ignore lint/suspicious/noThenProperty: like the driver's, it runs when it is awaited.
  then<A, B>(
    done?: ((rows: unknown) => A | PromiseLike<A>) | null,
    failed?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#rows ??= this.#runner.query({ ...this.#statement, rowMode: 'objects' })
    return this.#rows.then(done, failed)
  }

  catch<B>(failed: (error: unknown) => B | PromiseLike<B>): Promise<unknown> {
    return this.then(null, failed)
  }

  finally(done: () => void): Promise<unknown> {
    return this.then().finally(done)
  }
}

/** The driver's client of a transaction, as far as Drizzle uses it. */
export type TransactionClient = {
  unsafe(text: string, parameters?: QueryParams, options?: postgres.UnsafeQueryOptions): PendingQuery
  savepoint(work: TransactionWork): Promise<unknown>
}

/** What is to be done in a transaction, with its client. */
export type TransactionWork = (client: TransactionClient) => Promise<unknown>

/** A pool, as far as Drizzle uses it. */
type ClientPool = StatementRunner & {
  readonly sql: postgres.Sql
  runTransaction(work: TransactionWork): Promise<unknown>
  end(options?: { timeout?: number }): Promise<void>
}

/**
 * The driver's client as Drizzle uses it, with each statement and transaction run by `pool`. Drizzle keeps it for as
 * long as the process lives, so it outlives the connections.
 */
export function createPooledClient(pool: ClientPool): postgres.Sql {
  const own = {
    unsafe: (text: string, parameters: QueryParams = [], { prepare = false }: postgres.UnsafeQueryOptions = {}) =>
      new PendingQuery(pool, { text, parameters, prepare }),
    begin: (work: TransactionWork) => pool.runTransaction(work),
    end: (options?: { timeout?: number }) => pool.end(options),
  }
  return new Proxy(pool.sql, {
    get: (_, key) => Reflect.get(Object.hasOwn(own, key) ? own : pool.sql, key),
  })
}
