import { drizzle, type PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'
import { Connections, type PoolUse } from './connections.ts'
import { supervised } from './supervised.ts'

/** What a statement is sent to: a pool, or the transaction that it is part of. */
export type Db = Omit<PostgresJsDatabase, 'transaction'>
/** Connections to take. */
export type Pool = PostgresJsDatabase & { $client: postgres.Sql }

/** JSON stays text: a column takes it apart where it is read, and an answer passes it on. */
const rawJson = { to: 114, from: [114, 3802], serialize: String, parse: (text: string) => text }
/** The driver encodes values once more where it sends a statement again: by its own, `true` would come to be `false`. */
const repeatableBoolean = {
  to: 16,
  from: [16],
  serialize: (value: unknown) => (value === true || value === 't' ? 't' : 'f'),
  parse: (text: string) => text === 't',
}

type Options = {
  /** Connections at most. */
  max: number
  /** False where statements of one transaction may reach another connection than those of the next: behind PgBouncer. */
  prepare?: boolean
  /** How long a statement may run, in ms. None: as long as it likes, for commands and migrations. */
  timeout?: number
  /** Whether the server is told to stop statements and transactions itself. Hyperdrive takes no such parameters. */
  tellServer?: boolean
  /** With `timeout`: how long a call may wait for a connection, in ms. */
  wait?: number
  /** Called each time that PostgreSQL does not know what was prepared: something between loses it. */
  onStatementLost?: () => void
}

/** What a server gets beyond a limit, in ms: to say that it has stopped a statement, or that a connection is made. */
const slack = 500
/** How long a transaction may rest between its statements, in ms. Ends those whose process cannot be reached any more. */
const rest = 10_000

/** Calls that may wait for each connection. */
const waitingPerConnection = 100

const pools = new WeakMap<Pool, Connections>()

/**
 * A pool of at most `max` connections to the PostgreSQL server at `url`. It connects when first used.
 * Types are not looked up: the few array columns there are, are read by Drizzle.
 */
export function connect(url: string, options: Options): Pool {
  const { max, prepare = true, timeout, tellServer = true, wait = 1000, onStatementLost = () => {} } = options
  const open = (onclose: () => void, like?: postgres.Sql) => {
    const client = postgres(url, {
      max: 1,
      onclose,
      prepare,
      fetch_types: false,
      connect_timeout: timeout ? (wait + slack) / 1000 : 5,
      // A transaction rests for less. Where its age ends a connection is said in `connections.ts`, since the driver's own
      // clock may end one in the midst of a transaction.
      ...(timeout && { idle_timeout: 60 }),
      max_lifetime: null,
      backoff: () => 0.25,
      connection: {
        application_name: 'hospital-api',
        // As `written.ts` reads times, whatever the server's own settings are.
        TimeZone: 'UTC',
        DateStyle: 'ISO',
        ...(timeout && tellServer && { statement_timeout: timeout, idle_in_transaction_session_timeout: rest }),
      },
      types: { json: rawJson, boolean: repeatableBoolean },
      onnotice: () => {},
    })
    // How Drizzle wants values is set once, on the first.
    Object.assign(client.options.parsers, like?.options.parsers)
    Object.assign(client.options.serializers, like?.options.serializers)
    return client
  }
  const limits = timeout
    ? { wait, queue: waitingPerConnection * max, silence: timeout + slack, total: timeout + wait }
    : { wait: Infinity, queue: Infinity, silence: Infinity, total: Infinity }
  const connections = new Connections(open, { max, ...limits }, onStatementLost)
  const db = drizzle(supervised(connections))
  pools.set(db, connections)
  return db
}

/** What the pool of a `db` is at. */
export const poolOf = (db: Pool): PoolUse | undefined => pools.get(db)?.use

/** Lets queries under way finish, for at most `seconds`, then closes. The driver alone may wait for ever. */
export async function close(db: Pool, seconds = 5): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, (seconds + 1) * 1000)
  })
  await Promise.race([db.$client.end({ timeout: seconds }), limit])
  clearTimeout(timer)
}
