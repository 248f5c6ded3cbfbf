import { drizzle, type PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'

export type Db = PostgresJsDatabase & { $client: postgres.Sql }

/**
 * A pool of at most `max` connections to the PostgreSQL server at `url`. It connects when first used.
 * Types are not looked up: the few array columns there are, are read by Drizzle. `prepare: false` where statements of one
 * transaction may reach another connection than those of the next, as behind PgBouncer.
 */
export function connect(url: string, { max, prepare = true }: { max: number; prepare?: boolean }): Db {
  const client = postgres(url, {
    max,
    prepare,
    fetch_types: false,
    connect_timeout: 5,
    idle_timeout: 60,
    connection: { application_name: 'hospital-api' },
    onnotice: () => {},
  })
  return drizzle(client)
}

/** Lets queries under way finish, for at most `seconds`, then closes. The driver alone may wait for ever. */
export async function close(db: Db, seconds = 5): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, (seconds + 1) * 1000)
  })
  await Promise.race([db.$client.end({ timeout: seconds }), limit])
  clearTimeout(timer)
}
