import { drizzle } from 'drizzle-orm/postgres-js'
import postgres from 'postgres'
import type { Database } from '../context.ts'
import { ConnectionPool, type OpenClient, type PoolStats } from './pool/connection-pool.ts'
import { HostSelector } from './pool/host-selection.ts'
import { createPooledClient } from './pool/pooled-client.ts'

/** JSON stays text: a column takes it apart where it is read, and an answer passes it on. */
const jsonTextType = { to: 114, from: [114, 3802], serialize: String, parse: String }
/** The driver encodes values once more where it sends a statement again: by its own, `true` would come to be `false`. */
const resendableBooleanType = {
  to: 16,
  from: [16],
  serialize: (value: unknown) => (value === true || value === 't' ? 't' : 'f'),
  parse: (text: string) => text === 't',
}

type ConnectOptions = {
  /** Connections at most. */
  maxConnections: number
  /** False where statements of one transaction may reach another connection than those of the next: behind PgBouncer. */
  prepare?: boolean
  /** How long a statement may run, in ms. None: as long as it likes, for commands and migrations. */
  statementTimeoutMs?: number
  /** Whether the server is told to stop statements and transactions itself. Hyperdrive takes no such parameters. */
  setServerTimeouts?: boolean
  /** With `statementTimeoutMs`: how long a call may wait for a connection, in ms. */
  maxWaitMs?: number
  /** Called each time that PostgreSQL does not know what was prepared: something between loses it. */
  onStatementLost?: () => void
}

/** What a server gets beyond a limit, in ms: to say that it has stopped a statement, or that a connection is made. */
const serverSlackMs = 500
/** How long a transaction may rest between its statements, in ms. Ends those whose process cannot be reached any more. */
const idleInTransactionTimeoutMs = 10_000

/** Calls that may wait for each connection. */
const maxWaitingPerConnection = 100

const connectionPools = new WeakMap<Database, ConnectionPool>()

/**
 * A pool of at most `maxConnections` connections to the PostgreSQL server at `url`, or to the one of several that takes
 * writes. It connects when first used.
 * Types are not looked up: the few array columns there are, are read by Drizzle.
 */
export function connectDatabase(url: string, options: ConnectOptions): Database {
  const {
    maxConnections,
    prepare = true,
    statementTimeoutMs,
    setServerTimeouts = true,
    maxWaitMs = 1000,
    onStatementLost = () => {},
  } = options
  const hosts = new HostSelector(url)
  const openClient: OpenClient = ({ onClose, onUnreachable }, firstClient) => {
    const { options, abort } = hosts.createClientOptions(onUnreachable)
    const client = postgres(hosts.url, {
      ...options,
      max: 1,
      onclose: onClose,
      prepare,
      fetch_types: false,
      connect_timeout: statementTimeoutMs ? (maxWaitMs + serverSlackMs) / 1000 : 5,
      // A transaction rests for less. Where its age ends a connection is said in `database/pool/connection-pool.ts`, since the driver's own
      // clock may end one in the midst of a transaction.
      ...(statementTimeoutMs && { idle_timeout: 60 }),
      max_lifetime: null,
      backoff: () => 0.25,
      connection: {
        application_name: 'hospital-api',
        // As `database/query/json-rows.ts` reads times, whatever the server's own settings are.
        TimeZone: 'UTC',
        DateStyle: 'ISO',
        ...(statementTimeoutMs &&
          setServerTimeouts && {
            statement_timeout: statementTimeoutMs,
            idle_in_transaction_session_timeout: idleInTransactionTimeoutMs,
          }),
      },
      types: { json: jsonTextType, boolean: resendableBooleanType },
      onnotice: () => {},
    })
    // How Drizzle wants values is set once, on the first.
    Object.assign(client.options.parsers, firstClient?.options.parsers)
    Object.assign(client.options.serializers, firstClient?.options.serializers)
    return { sql: client, abort }
  }
  const limits = statementTimeoutMs
    ? {
        waitTimeoutMs: maxWaitMs,
        maxWaiting: maxWaitingPerConnection * maxConnections,
        silenceTimeoutMs: statementTimeoutMs + serverSlackMs,
        totalTimeoutMs: statementTimeoutMs + maxWaitMs,
      }
    : { waitTimeoutMs: Infinity, maxWaiting: Infinity, silenceTimeoutMs: Infinity, totalTimeoutMs: Infinity }
  const onUnfitServer = hosts.hasAlternatives ? () => hosts.avoidPreferred() : undefined
  const pool = new ConnectionPool(openClient, { maxConnections, ...limits }, { onStatementLost, onUnfitServer })
  const db = drizzle(createPooledClient(pool))
  connectionPools.set(db, pool)
  return db
}

/** What the pool of a `db` is at. */
export const getPoolStats = (db: Database): PoolStats | undefined => connectionPools.get(db)?.stats

/** Lets queries under way finish, for at most `timeoutSeconds`, then closes. The driver alone may wait for ever. */
export async function closeDatabase(db: Database, timeoutSeconds = 5): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, (timeoutSeconds + 1) * 1000)
  })
  await Promise.race([db.$client.end({ timeout: timeoutSeconds }), timeout])
  clearTimeout(timer)
}
