import type postgres from 'postgres'
import type { ConnectionPool } from './connection-pool.ts'
import type { QueryParams } from './driver.ts'
import { PendingQuery } from './pending-query.ts'
import { runInTransaction, type TransactionWork } from './transaction.ts'

/**
 * The driver's client as Drizzle uses it, with each statement and transaction run by `pool`. Drizzle keeps it for as
 * long as the process lives, so it outlives the connections.
 */
export function createPooledClient(pool: ConnectionPool): postgres.Sql {
  const own = {
    unsafe: (text: string, parameters: QueryParams = [], { prepare = false }: postgres.UnsafeQueryOptions = {}) =>
      new PendingQuery((rowMode) => pool.query({ text, parameters, prepare, rowMode })),
    begin: (work: TransactionWork) =>
      pool.runTransaction((connection, task) => runInTransaction(connection, task, work)),
    end: (options?: { timeout?: number }) => pool.end(options),
  }
  return new Proxy(pool.sql, {
    get: (_, key) => Reflect.get(Object.hasOwn(own, key) ? own : pool.sql, key),
  })
}
