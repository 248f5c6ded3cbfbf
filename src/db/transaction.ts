import type postgres from 'postgres'
import type { Call, Line } from './call.ts'
import { Pending } from './pending.ts'
import type { Parameters } from './statement.ts'

/** A transaction that PostgreSQL rolled back where it was to commit: it was aborted, by whatever it was. Nothing is kept. */
export class NotCommittedError extends Error {
  override name = 'NotCommittedError'
  readonly code = 'NOT_COMMITTED'
}

/** The driver's client of a transaction, as far as Drizzle uses it. */
export type TransactionClient = {
  unsafe(text: string, parameters?: Parameters, options?: postgres.UnsafeQueryOptions): Pending
  savepoint(work: TransactionWork): Promise<unknown>
}
export type TransactionWork = (client: TransactionClient) => Promise<unknown>

const connectionLost = () => Object.assign(new Error('the connection was lost'), { code: 'CONNECTION_CLOSED' })

/** The transaction of one connection: what it has come to, and how statements are sent to it. */
class Transaction {
  readonly #sql: postgres.Sql
  readonly #call: Call
  readonly #failure: Promise<never>
  #savepoints = 0
  /** Settles when the newest statement is answered. */
  #last: Promise<unknown> = Promise.resolve()
  /** The statement's error that has aborted the transaction: it is rolled back, whatever its work makes of that. */
  #aborted: unknown

  constructor(sql: postgres.Sql, call: Call, failure: Promise<never>) {
    this.#sql = sql
    this.#call = call
    this.#failure = failure
  }

  readonly client: TransactionClient = {
    unsafe: (text, parameters, options) =>
      new Pending(async (form) => {
        const query = () => this.#sql.unsafe(text, parameters, options)
        return this.#send(() => (form === 'values' ? query().values() : query()))
      }),
    savepoint: (work) => this.#savepoint(work),
  }

  /** Sends a command that is never prepared: a pooler may lose what was. Resolves to its command tag. */
  async command(text: string): Promise<string> {
    const { command } = await this.#send(() => this.#sql.unsafe(text))
    return command
  }

  /** @throws {NotCommittedError} where PostgreSQL has rolled back instead */
  async commit(): Promise<void> {
    if (this.#aborted !== undefined) throw this.#aborted
    const tag = await this.command('commit')
    if (tag !== 'COMMIT') throw new NotCommittedError(`COMMIT was answered with ${tag}`)
  }

  /** Resolves when no statement of it is under way. */
  answered(): Promise<unknown> {
    return this.#last
  }

  /** The error to tell of: what aborted the transaction, where `error` is only that it is aborted (25P02). */
  cause(error: unknown): unknown {
    const isAborted = error instanceof Error && 'code' in error && error.code === '25P02'
    return isAborted ? (this.#aborted ?? error) : error
  }

  /**
   * Sends a statement once those before it are answered, unless the call has failed. What waits for its turn in the driver
   * instead would, where the connection is lost, be sent over the next one.
   */
  #send<T>(send: () => PromiseLike<T>): Promise<T> {
    const answer = this.#last.then(async () => {
      if (this.#call.failure !== undefined) throw this.#call.failure
      this.#call.asked()
      return Promise.resolve(send()).finally(() => this.#call.answered())
    })
    this.#last = answer.catch(() => {})
    return Promise.race([answer, this.#failure]).catch((error: unknown) => {
      this.#aborted ??= error
      throw error
    })
  }

  async #savepoint(work: TransactionWork): Promise<unknown> {
    const name = `s${this.#savepoints}`
    this.#savepoints += 1
    await this.command(`savepoint ${name}`)
    try {
      const result = await work(this.client)
      if (this.#aborted !== undefined) throw this.#aborted
      return result
    } catch (error) {
      const cause = this.cause(error)
      await this.command(`rollback to ${name}`)
      this.#aborted = undefined
      throw cause
    }
  }
}

/**
 * Does `work` in a transaction over the connection of `line`, which nothing else uses meanwhile. Once its call has failed,
 * or the connection is lost, no further statement of it is sent: the driver would connect anew and send it outside of any
 * transaction. The driver's own `begin` does not look at the tag of COMMIT, prepares it like any statement, and sends it
 * again where its preparation is gone.
 * @throws {NotCommittedError} where PostgreSQL answers COMMIT with ROLLBACK; what `work` throws
 */
export async function transact(line: Line, call: Call, work: TransactionWork): Promise<unknown> {
  const { promise: failure, reject } = Promise.withResolvers<never>()
  failure.catch(() => {})
  call.onFailure = reject
  const transaction = new Transaction(line.sql, call, failure)
  // Waited for also where the call fails meanwhile: once it is answered, the connection is in a transaction, to be ended.
  await line.sql.unsafe('begin')
  call.answered()
  let lost = false
  line.onClose = () => {
    lost = true
    call.fail(connectionLost())
  }
  try {
    if (call.failure !== undefined) throw call.failure
    const result = await Promise.race([work(transaction.client), failure])
    await transaction.commit()
    return result
  } catch (error) {
    call.asked()
    // The driver sends a statement again whose preparation is gone: behind a rollback that would stand, on its own.
    if (!lost) await transaction.answered()
    if (!lost) await line.sql.unsafe('rollback').catch(() => {})
    throw transaction.cause(error)
  } finally {
    line.onClose = undefined
  }
}
