import type postgres from 'postgres'
import type { Connections } from './connections.ts'
import { Pending } from './pending.ts'
import type { Parameters } from './statement.ts'
import { type TransactionWork, transact } from './transaction.ts'

/**
 * The driver's client as Drizzle uses it, with each statement and transaction run by `connections`. Drizzle keeps it for as
 * long as the process lives, so it outlives the connections.
 */
export function supervised(connections: Connections): postgres.Sql {
  const own = {
    unsafe: (text: string, parameters: Parameters = [], { prepare = false }: postgres.UnsafeQueryOptions = {}) =>
      new Pending((form) => connections.ask({ text, parameters, prepare, form })),
    begin: (work: TransactionWork) => connections.transact((line, call) => transact(line, call, work)),
    end: (options?: { timeout?: number }) => connections.end(options),
  }
  return new Proxy(connections.sql, {
    get: (_, key) => Reflect.get(Object.hasOwn(own, key) ? own : connections.sql, key),
  })
}
