import type postgres from 'postgres'
import type { Call, Pool } from './pool.ts'

type Parameters = postgres.ParameterOrJSON<never>[]
type Asked = [text: string, parameters?: Parameters, options?: postgres.UnsafeQueryOptions]

/** A statement as Drizzle uses the driver's: awaited for its rows as objects, or asked for them as arrays. */
class Statement implements PromiseLike<unknown> {
  readonly #run: (asArrays: boolean) => Promise<unknown>

  constructor(run: (asArrays: boolean) => Promise<unknown>) {
    this.#run = run
  }

  values(): Promise<unknown> {
    return this.#run(true)
  }

  // biome-ignore lint/suspicious/noThenProperty: like the driver's, it runs when it is awaited.
  then<A, B>(
    done?: ((rows: unknown) => A | PromiseLike<A>) | null,
    failed?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#run(false).then(done, failed)
  }
}

const ask = (sql: postgres.ISql, asked: Asked, asArrays: boolean): PromiseLike<unknown> => {
  const statement = sql.unsafe(...asked)
  return asArrays ? statement.values() : statement
}

/**
 * The driver's client as Drizzle uses it, with each statement and transaction run by `pool`. Drizzle keeps it for as
 * long as the process lives, so it outlives the connections.
 */
export const supervised = (pool: Pool): postgres.Sql =>
  new Proxy(pool.sql, {
    get(_, key) {
      if (key === 'unsafe')
        return (...asked: Asked) => new Statement((asArrays) => pool.run((sql) => ask(sql, asked, asArrays)))
      if (key === 'begin')
        return (work: Work) => pool.run((sql, call) => sql.begin((transaction) => doWithin(transaction, call, work)))
      if (key === 'end') return (options?: { timeout?: number }) => pool.end(options)
      return Reflect.get(pool.sql, key)
    },
  })

type Work = (sql: postgres.TransactionSql) => Promise<unknown>

/** Does a transaction's work. Once its call has failed it commits nothing and runs no further statement. */
async function doWithin(sql: postgres.TransactionSql, call: Call, work: Work): Promise<unknown> {
  const { promise: failure, reject } = Promise.withResolvers<never>()
  failure.catch(() => {})
  call.onFailure = reject
  call.answered()
  try {
    const result = await work(within(sql, call, failure))
    if (call.failure !== undefined) throw call.failure
    return result
  } finally {
    // The driver sends the end of the transaction now.
    call.asked()
  }
}

/** The statements of a transaction. What the driver never settles, on a connection that is lost, fails with the call. */
const within = (transaction: postgres.TransactionSql, call: Call, failure: Promise<never>): postgres.TransactionSql =>
  new Proxy(transaction, {
    get(sql, key) {
      if (key === 'unsafe')
        return (...asked: Asked) =>
          new Statement(async (asArrays) => {
            if (call.failure !== undefined) throw call.failure
            call.asked()
            const answer = Promise.resolve(ask(sql, asked, asArrays)).finally(() => call.answered())
            return Promise.race([answer, failure])
          })
      if (key === 'savepoint') return (work: Work) => sql.savepoint((nested) => work(within(nested, call, failure)))
      return Reflect.get(sql, key)
    },
  })
