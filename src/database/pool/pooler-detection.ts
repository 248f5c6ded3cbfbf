import { setTimeout } from 'node:timers/promises'
import postgres from 'postgres'
import { HostSelector } from './host-selection.ts'

/** How long the connection is kept busy at most, in ms: where there is but one for all, nobody else is served meanwhile. */
const busyTimeoutMs = 500
/** Seconds until a connection that cannot be made is given up. */
const connectTimeoutSeconds = 5
const maxAttempts = 10

/**
 * Whether something between here and PostgreSQL loses prepared statements, as PgBouncer does in transaction mode before
 * its version 1.21: a client's next transaction runs over another connection, which does not know them. Found out by
 * keeping the connection busy over which a statement was prepared, and running it again.
 */
export async function losesPreparedStatements(url: string): Promise<boolean> {
  let sentCount = 0
  const settings = { max: 1, fetch_types: false, connect_timeout: connectTimeoutSeconds, onnotice: () => {} }
  // The driver sends a statement a second time where its preparation is gone, and tells only `debug` of it.
  const debug = () => {
    sentCount += 1
  }
  const hosts = new HostSelector(url)
  const ignore = () => {}
  const [first, other] = [hosts.createClientOptions(ignore), hosts.createClientOptions(ignore)]
  const firstClient = postgres(hosts.url, { ...settings, ...first.options, debug })
  const otherClient = postgres(hosts.url, { ...settings, ...other.options })
  const runPrepared = () => firstClient.unsafe('select $1::int', [1], { prepare: true })
  let isUndisturbed = false
  const isLost = async () => {
    // Not by the driver's own `begin`, which ends the process where the connection is lost meanwhile.
    await otherClient.unsafe('begin')
    await otherClient.unsafe('select 1')
    sentCount = 0
    const secondRun = runPrepared()
    secondRun.catch(() => {})
    isUndisturbed = await Promise.race([secondRun.then(() => false), setTimeout(busyTimeoutMs, true)])
    await otherClient.unsafe('rollback')
    await secondRun
    return !isUndisturbed && sentCount > 1
  }
  try {
    await runPrepared()
    // Beside other clients it is chance which connection is free.
    for (let attemptCount = 0; attemptCount < maxAttempts && !isUndisturbed; attemptCount += 1)
      if (await isLost()) return true
    return false
  } finally {
    first.abort()
    other.abort()
    await Promise.all([firstClient.end({ timeout: 1 }), otherClient.end({ timeout: 1 })])
  }
}
