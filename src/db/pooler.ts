import { setTimeout } from 'node:timers/promises'
import postgres from 'postgres'

/** How long the connection is kept busy at most, in ms: where there is but one for all, nobody else is served meanwhile. */
const busyTimeoutMs = 500
/** Seconds until a connection that cannot be made is given up. */
const connectTimeoutSeconds = 5
const attempts = 10

/**
 * Whether something between here and PostgreSQL loses prepared statements, as PgBouncer does in transaction mode before
 * its version 1.21: a client's next transaction runs over another connection, which does not know them. Found out by
 * keeping the connection busy over which a statement was prepared, and running it again.
 */
export async function losesPreparedStatements(url: string): Promise<boolean> {
  let sent = 0
  const settings = { max: 1, fetch_types: false, connect_timeout: connectTimeoutSeconds, onnotice: () => {} }
  // The driver sends a statement a second time where its preparation is gone, and tells only `debug` of it.
  const debug = () => {
    sent += 1
  }
  const [one, other] = [postgres(url, { ...settings, debug }), postgres(url, settings)]
  const run = () => one.unsafe('select $1::int', [1], { prepare: true })
  let alone = false
  const isLost = async () => {
    // Not by the driver's own `begin`, which ends the process where the connection is lost meanwhile.
    await other.unsafe('begin')
    await other.unsafe('select 1')
    sent = 0
    const again = run()
    again.catch(() => {})
    alone = await Promise.race([again.then(() => false), setTimeout(busyTimeoutMs, true)])
    await other.unsafe('rollback')
    await again
    return !alone && sent > 1
  }
  try {
    await run()
    // Beside other clients it is chance which connection is free.
    for (let tried = 0; tried < attempts && !alone; tried += 1) if (await isLost()) return true
    return false
  } finally {
    await Promise.all([one.end({ timeout: 1 }), other.end({ timeout: 1 })])
  }
}
