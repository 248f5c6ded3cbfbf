import { drizzle, type PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'

/** What a statement is sent to: a pool, or the transaction that it is part of. */
export type Db = Omit<PostgresJsDatabase, 'transaction'>
/** Connections to take. `transaction.ts` makes a transaction of one. */
export type Pool = Db & { $client: postgres.Sql }

/** JSON stays text: a column takes it apart where it is read, and an answer passes it on. */
const rawJson = { to: 114, from: [114, 3802], serialize: String, parse: (text: string) => text }

/**
 * A pool of at most `max` connections to the PostgreSQL server at `url`. It connects when first used.
 * Types are not looked up: the few array columns there are, are read by Drizzle. `prepare: false` where statements of one
 * transaction may reach another connection than those of the next, as behind PgBouncer.
 */
export function connect(url: string, { max, prepare = true }: { max: number; prepare?: boolean }): Pool {
  const client = postgres(url, {
    max,
    prepare,
    fetch_types: false,
    connect_timeout: 5,
    idle_timeout: 60,
    connection: { application_name: 'hospital-api', TimeZone: 'UTC' },
    types: { json: rawJson },
    onnotice: () => {},
  })
  return drizzle(client)
}

/** Lets queries under way finish, for at most `seconds`, then closes. The driver alone may wait for ever. */
export async function close(db: Pool, seconds = 5): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, (seconds + 1) * 1000)
  })
  await Promise.race([db.$client.end({ timeout: seconds }), limit])
  clearTimeout(timer)
}
