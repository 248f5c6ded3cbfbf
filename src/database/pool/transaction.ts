import type postgres from 'postgres'
import type { RowMode, Statement } from './driver.ts'
import { PendingQuery, type StatementRunner, type TransactionClient, type TransactionWork } from './pooled-client.ts'
import { type Connection, PoolTask, type TaskListener } from './task.ts'

/** A transaction that PostgreSQL rolled back where it was to commit: it was aborted, by whatever it was. Nothing is kept. */
export class NotCommittedError extends Error {
  override name = 'NotCommittedError'
  readonly code = 'NOT_COMMITTED'
}

const connectionLostError = () => Object.assign(new Error('the connection was lost'), { code: 'CONNECTION_CLOSED' })

/** The transaction of one connection: what it has come to, and how statements are sent to it. */
class TransactionConnection implements StatementRunner {
  readonly #sql: postgres.Sql
  readonly #task: PoolTask
  readonly #failure: Promise<never>
  #savepointCount = 0
  /** Settles when the newest statement is answered. */
  #lastAnswer: Promise<unknown> = Promise.resolve()
  /** The statement's error that has aborted the transaction: it is rolled back, whatever its work makes of that. */
  #abortError: unknown

  constructor(sql: postgres.Sql, task: PoolTask, failure: Promise<never>) {
    this.#sql = sql
    this.#task = task
    this.#failure = failure
  }

  readonly client: TransactionClient = {
    unsafe: (text, parameters = [], { prepare = false } = {}) => new PendingQuery(this, { text, parameters, prepare }),
    savepoint: (work) => this.#savepoint(work),
  }

  query({ text, parameters, prepare, rowMode }: Statement & { rowMode: RowMode }): Promise<unknown> {
    return this.#send((): PromiseLike<unknown> => {
      const query = this.#sql.unsafe(text, parameters, { prepare })
      return rowMode === 'values' ? query.values() : query
    })
  }

  /** Sends a command that is never prepared: a pooler may lose what was. Resolves to its command tag. */
  async runCommand(text: string): Promise<string> {
    const { command } = await this.#send(() => this.#sql.unsafe(text))
    return command
  }

  /** @throws {NotCommittedError} where PostgreSQL has rolled back instead */
  async commit(): Promise<void> {
    if (this.#abortError !== undefined) throw this.#abortError
    const tag = await this.runCommand('commit')
    if (tag !== 'COMMIT') throw new NotCommittedError(`COMMIT was answered with ${tag}`)
  }

  /** Resolves when no statement of it is under way. */
  whenAnswered(): Promise<unknown> {
    return this.#lastAnswer
  }

  /** The error to tell of: what aborted the transaction, where `error` is only that it is aborted (25P02). */
  getAbortCause(error: unknown): unknown {
    const isAborted = error instanceof Error && 'code' in error && error.code === '25P02'
    return isAborted ? (this.#abortError ?? error) : error
  }

  /**
   * Sends a statement once those before it are answered, unless the call has failed. What waits for its turn in the driver
   * instead would, where the connection is lost, be sent over the next one.
   */
  #send<T>(send: () => PromiseLike<T>): Promise<T> {
    const answer = this.#lastAnswer.then(async () => {
      if (this.#task.failure !== undefined) throw this.#task.failure
      this.#task.expectAnswer()
      return Promise.resolve(send()).finally(() => this.#task.receiveAnswer())
    })
    this.#lastAnswer = answer.catch(() => {})
    return Promise.race([answer, this.#failure]).catch((error: unknown) => {
      this.#abortError ??= error
      throw error
    })
  }

  async #savepoint(work: TransactionWork): Promise<unknown> {
    const name = `s${this.#savepointCount}`
    this.#savepointCount += 1
    await this.runCommand(`savepoint ${name}`)
    try {
      const result = await work(this.client)
      if (this.#abortError !== undefined) throw this.#abortError
      return result
    } catch (error) {
      const cause = this.getAbortCause(error)
      await this.runCommand(`rollback to ${name}`)
      this.#abortError = undefined
      throw cause
    }
  }
}

/**
 * Does `work` in a transaction over the connection of `connection`, which nothing else uses meanwhile. Once its call has failed,
 * or the connection is lost, no further statement of it is sent: the driver would connect anew and send it outside of any
 * transaction. The driver's own `begin` does not look at the tag of COMMIT, prepares it like any statement, and sends it
 * again where its preparation is gone.
 * @throws {NotCommittedError} where PostgreSQL answers COMMIT with ROLLBACK; what `work` throws
 */
async function runInTransaction(connection: Connection, task: PoolTask, work: TransactionWork): Promise<unknown> {
  const { promise: failure, reject } = Promise.withResolvers<never>()
  failure.catch(() => {})
  task.onFailure = reject
  const transaction = new TransactionConnection(connection.sql, task, failure)
  // Waited for also where the call fails meanwhile: once it is answered, the connection is in a transaction, to be ended.
  await connection.sql.unsafe('begin')
  task.receiveAnswer()
  let isLost = false
  connection.onClose = () => {
    isLost = true
    task.fail(connectionLostError())
  }
  try {
    if (task.failure !== undefined) throw task.failure
    const result = await Promise.race([work(transaction.client), failure])
    await transaction.commit()
    return result
  } catch (error) {
    task.expectAnswer()
    // The driver sends a statement again whose preparation is gone: behind a rollback that would stand, on its own.
    if (!isLost) await transaction.whenAnswered()
    if (!isLost) await connection.sql.unsafe('rollback').catch(() => {})
    throw transaction.getAbortCause(error)
  } finally {
    connection.onClose = undefined
  }
}

/** A transaction, on its way. */
export class TransactionTask extends PoolTask {
  override readonly mode = 'exclusive'
  readonly #work: TransactionWork
  readonly #settle: (value: unknown) => void

  constructor(
    listener: TaskListener,
    work: TransactionWork,
    settle: (value: unknown) => void,
    reject: (error: unknown) => void,
  ) {
    super(listener, reject)
    this.#work = work
    this.#settle = settle
  }

  override start(connection: Connection): void {
    runInTransaction(connection, this, this.#work).then(
      (value) => {
        this.listener.onDone(this)
        this.#settle(value)
      },
      (error: unknown) => this.listener.onError(this, error),
    )
  }
}
