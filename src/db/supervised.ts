import type postgres from 'postgres'
import type { Call } from './call.ts'
import type { Connections } from './connections.ts'
import type { Form, Parameters } from './statement.ts'

type Asked = [text: string, parameters?: Parameters, options?: postgres.UnsafeQueryOptions]

/** A statement as Drizzle takes it: it runs once, when it is awaited for its rows as objects or asked for them as lists. */
class Pending implements PromiseLike<unknown> {
  readonly #run: (form: Form) => Promise<unknown>
  #rows: Promise<unknown> | undefined

  constructor(run: (form: Form) => Promise<unknown>) {
    this.#run = run
  }

  values(): Promise<unknown> {
    this.#rows ??= this.#run('values')
    return this.#rows
  }

  // biome-ignore lint/suspicious/noThenProperty: like the driver's, it runs when it is awaited.
  then<A, B>(
    done?: ((rows: unknown) => A | PromiseLike<A>) | null,
    failed?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#rows ??= this.#run('objects')
    return this.#rows.then(done, failed)
  }

  catch<B>(failed: (error: unknown) => B | PromiseLike<B>): Promise<unknown> {
    return this.then(null, failed)
  }

  finally(done: () => void): Promise<unknown> {
    return this.then().finally(done)
  }
}

/**
 * The driver's client as Drizzle uses it, with each statement and transaction run by `connections`. Drizzle keeps it for as
 * long as the process lives, so it outlives the connections.
 */
export function supervised(connections: Connections): postgres.Sql {
  const own = {
    unsafe: (text: string, parameters: Parameters = [], { prepare = false }: postgres.UnsafeQueryOptions = {}) =>
      new Pending((form) => connections.ask({ text, parameters, prepare, form })),
    begin: (work: Work) =>
      connections.transact((sql, call) => sql.begin((transaction) => doWithin(transaction, call, work))),
    end: (options?: { timeout?: number }) => connections.end(options),
  }
  return new Proxy(connections.sql, {
    get: (_, key) => Reflect.get(Object.hasOwn(own, key) ? own : connections.sql, key),
  })
}

type Work = (sql: postgres.TransactionSql) => Promise<unknown>

/** Does a transaction's work. Once its call has failed it commits nothing and runs no further statement. */
async function doWithin(sql: postgres.TransactionSql, call: Call, work: Work): Promise<unknown> {
  const { promise: failure, reject } = Promise.withResolvers<never>()
  failure.catch(() => {})
  call.onFailure = reject
  call.answered()
  try {
    return await outcomeOf(call, failure, work(within(sql, call, failure)))
  } finally {
    // The driver sends the end of the transaction now.
    call.asked()
  }
}

/**
 * What the work of a transaction or savepoint comes to, for the driver. Where the connection is lost it never comes to
 * anything: the driver would send a rollback on the closed socket, which takes the process down.
 */
async function outcomeOf(call: Call, failure: Promise<never>, work: Promise<unknown>): Promise<unknown> {
  try {
    const result = await Promise.race([work, failure])
    if (call.failure === undefined) return result
    throw call.failure
  } catch (error) {
    // That the connection is lost shows in the statement before it shows in the transaction.
    await new Promise((resolve) => setTimeout(resolve))
    if (call.over) return new Promise(() => {})
    throw error
  }
}

/** The statements of a transaction. What the driver never settles, on a connection that is lost, fails with the call. */
const within = (transaction: postgres.TransactionSql, call: Call, failure: Promise<never>): postgres.TransactionSql =>
  new Proxy(transaction, {
    get(sql, key) {
      if (key === 'unsafe')
        return (...asked: Asked) =>
          new Pending(async (form) => {
            if (call.failure !== undefined) throw call.failure
            call.asked()
            const query = sql.unsafe(...asked)
            const answer = Promise.resolve<unknown>(form === 'values' ? query.values() : query).finally(() =>
              call.answered(),
            )
            return Promise.race([answer, failure])
          })
      if (key === 'savepoint')
        return (work: Work) => sql.savepoint((nested) => outcomeOf(call, failure, work(within(nested, call, failure))))
      return Reflect.get(sql, key)
    },
  })
