import { drizzle } from 'drizzle-orm/postgres-js'
import type { ParameterOrJSON, Row, UnsafeQueryOptions } from 'postgres'
import type { Db, Pool } from './client.ts'
import { losesConnection } from './failure.ts'

/** How long a transaction may leave its connection idle before PostgreSQL ends both. */
const patience = "set local idle_in_transaction_session_timeout = '10s'"

/**
 * Runs `work` as one transaction, on a connection of its own, and gives what it gives: all of its statements hold, or none.
 * Where the connection is lost, rejects at once with the driver's error. The driver by itself would leave statements that
 * wait for their turn unsettled, and send later ones, its own rollback too, over whatever connection comes next.
 */
export async function transaction<Result>(pool: Pool, work: (db: Db) => Promise<Result>): Promise<Result> {
  const loss = Promise.withResolvers<never>()
  let lost: { error: unknown } | undefined
  const lose = (error: unknown) => {
    lost ??= { error }
    loss.reject(error)
  }
  const begun = pool.$client.begin(async (driver) => {
    // Sent along with the first statement of `work`: it takes no round trip of its own.
    driver.unsafe(patience).catch(() => {})
    const unsafe = (text: string, parameters?: ParameterOrJSON<never>[], options?: UnsafeQueryOptions) => {
      if (lost) throw lost.error
      const query = driver.unsafe<Row[]>(text, parameters, options)
      query.catch((error: unknown) => {
        if (losesConnection(error)) lose(error)
      })
      return query
    }
    const connection = new Proxy(pool.$client, {
      get: (client, name) => (name === 'unsafe' ? unsafe : Reflect.get(client, name)),
    })
    const [outcome] = await Promise.allSettled([work(drizzle(connection))])
    // The driver would commit or roll back now, over another connection: it never hears of it.
    if (lost) return new Promise<never>(() => {})
    if (outcome.status === 'rejected') throw outcome.reason
    return { result: outcome.value }
  })
  begun.catch(lose)
  const { result } = await Promise.race([begun, loss.promise])
  return result
}
