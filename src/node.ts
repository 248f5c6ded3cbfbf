import type { Worker } from 'node:cluster'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { count } from 'drizzle-orm'
import { rateLimits } from './access/rate-limits.ts'
import { app } from './app.ts'
import { auditLog, lastFlush } from './audit/record.ts'
import { keepInSpool, takeUpSpool } from './audit/spool.node.ts'
import { Sessions } from './auth/authenticate.ts'
import { withDjango } from './auth/passwords.django.ts'
import { nodeHasher } from './auth/passwords.node.ts'
import { limited } from './auth/passwords.ts'
import { users } from './auth/schema.ts'
import { tokenKeys } from './auth/tokens.ts'
import { type Config, ConfigError, findMisspelt } from './config.ts'
import { close, connect, poolOf } from './db/client.ts'
import { losesPreparedStatements } from './db/pooler.ts'
import { nameOfDatabase } from './db/reason.ts'
import { drainable } from './http/drain.node.ts'
import { nodeLog } from './http/log.node.ts'
import { answerRequests } from './http/raw.node.ts'
import { senderBehind } from './http/sender.ts'
import { activatedSocket } from './http/socket-activation.node.ts'
import { packageAssets } from './openapi/assets.node.ts'
import { nodeMetrics } from './operation/metrics.node.ts'
import { readinessOf, watchReadiness } from './operation/readiness.ts'
import { collected } from './reports/files.node.ts'
import { watchFiles } from './reports/files.ts'
import { configure, openDatabase, openFiles, refuseToStart } from './setup.ts'
import { stopWhenTold } from './signals.node.ts'

/** When the process is told to stop: how long requests under way may take to finish, and all of it, in ms. */
const drainTimeoutMs = 7000
const stopTimeoutMs = 9500
/** How long a request may take to arrive, in ms: 20 MiB at 25 KB/s. And how long without a byte of it or its answer. */
const slowest = 15 * 60_000
const stalled = 60_000
/** How often Node looks for requests that take too long to arrive, in ms. */
const arrivalCheckMs = 5000
/** Connections of a process at once: each keeps some memory, also where nothing is asked over it. */
const maxConnections = 10_000

/** Serves, alone or as one of several processes. */
async function start(config: Config, worker?: Worker) {
  const say = (line: string) => process.stdout.write(`${line}\n`)
  const { log, flushed } = nodeLog(config, process.stdout, worker && { pid: process.pid })
  /** Finishes what is under way; while the process starts, there is nothing. */
  let finish = async () => {}
  stopWhenTold({
    log,
    flushed,
    limitMs: stopTimeoutMs,
    async stop() {
      await finish()
      return 0
    },
  })
  // Node itself would print the error whole, and a database's holds what was written.
  process.on('uncaughtException', (err) => {
    log.error({ msg: 'ended by a fault of its own', err })
    process.exit(1)
  })
  const isFirst = worker === undefined || worker.id === 1
  if (isFirst) for (const msg of findMisspelt(process.env)) log.warn({ msg })
  const store = await openFiles(config)
  const fault = await store.findFault()
  if (fault) log.warn({ msg: fault })
  const database = await openDatabase(config)
  let hasWarned = false
  const warnOfLostStatements = () => {
    if (!hasWarned)
      log.warn({
        msg: 'Something between here and PostgreSQL loses prepared statements, so requests fail with 503: set DATABASE_PREPARE=false.',
      })
    hasWarned = true
  }
  const db = connect(database.url, {
    max: config.DATABASE_POOL_MAX,
    prepare: config.DATABASE_PREPARE,
    timeout: config.DATABASE_TIMEOUT_MS,
    onStatementLost: warnOfLostStatements,
  })

  // That the database cannot be reached is said elsewhere, and what is not found out now shows later.
  if (config.DATABASE_PREPARE && !database.embedded && isFirst)
    void losesPreparedStatements(database.url).then(
      (loses) => loses && warnOfLostStatements(),
      () => {},
    )

  let flushing: NodeJS.Timeout | undefined
  const audit = auditLog(db, log, () => {
    flushing ??= setTimeout(() => {
      flushing = undefined
      void audit.flush()
    }, 1000)
  })
  const spoolFolder = config.AUDIT_SPOOL_DIR ?? config.DATA_DIR
  const stopping = new AbortController()
  void takeUpSpool(spoolFolder, audit, log, stopping.signal)
  const databaseName = config.DATABASE_URL
    ? nameOfDatabase(config.DATABASE_URL)
    : `the embedded database in ${config.DATA_DIR}`
  const stopWatching = watchReadiness(db, databaseName, log)
  const passwords = limited(withDjango(nodeHasher), Math.ceil(availableParallelism() / config.WEB_CONCURRENCY))
  // Loaded only where it is used: it takes long.
  const tracing = config.OTEL_EXPORTER_OTLP_ENDPOINT
    ? (await import('./operation/tracing.node.ts')).startTracing(log)
    : undefined
  const isReady = readinessOf(db)
  const metrics = nodeMetrics({
    auditBacklog: () => audit.backlog,
    auditLost: () => audit.lost,
    passwordsWaiting: () => passwords.waiting,
    pool: () => poolOf(db),
    ready: async () => !connections.draining && isReady(),
    commit: config.GIT_COMMIT,
  })
  const env = {
    config,
    db,
    assets: packageAssets,
    files: watchFiles(collected(store), metrics.fileStoreFailed),
    log,
    audit,
    metrics,
    tracing,
    passwords,
    keys: await tokenKeys(config),
    sessions: new Sessions(),
    rateLimits: rateLimits(config),
  }

  const server = createServer({
    headersTimeout: 10_000,
    requestTimeout: slowest,
    connectionsCheckingInterval: arrivalCheckMs,
    keepAliveTimeout: 65_000,
    requireHostHeader: false,
  })
  server.setTimeout(stalled)
  server.maxConnections = maxConnections
  const connections = drainable(server)
  answerRequests(server, {
    log,
    senderOf: senderBehind(config.TRUST_PROXY),
    fetch: (request, sender) => app.fetch(request, { ...env, ...sender, draining: connections.draining }),
  })
  const fd = activatedSocket(process.env, worker ? process.ppid : process.pid)
  server.listen(fd === undefined ? { port: config.PORT, host: config.HOST } : { fd })
  await once(server, 'listening').catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'EADDRINUSE'
      ? new ConfigError(`Port ${config.PORT} of ${config.HOST} is taken: stop what uses it, or set PORT.`)
      : error
  })

  /** Takes no more connections, finishes what is under way, writes the trail, and closes what it opened. */
  finish = async () => {
    await connections.drain(drainTimeoutMs)
    clearTimeout(flushing)
    stopping.abort()
    stopWatching()
    await Promise.all([lastFlush(audit, log, (rows) => keepInSpool(spoolFolder, rows)), tracing?.stop()])
    await close(db, 1)
    await database.stop()
  }

  const listening = server.address()
  if (typeof listening !== 'object' || !listening)
    throw new ConfigError('The socket that systemd handed over is not of TCP.')
  const { address: host, port } = listening
  if (config.NODE_ENV === 'production') log.info({ msg: 'listening', host, port })
  else if (isFirst) {
    const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}`
    say(`The hospital API is at ${url}, its guide in README.md.`)
    if (database.embedded)
      say(
        `Its data is in ${config.DATA_DIR}, in an embedded PostgreSQL for trying out and developing. Its URL is in ${join(config.DATA_DIR, 'database-url')}.`,
      )
    const [accounts] = await db
      .select({ count: count() })
      .from(users)
      .catch(() => [])
    if (accounts?.count === 0 && config.FIRST_USER_IS_ADMIN)
      say('The first account that registers becomes the administrator.')
  }
}

async function main() {
  const config = await configure(process.env)
  if (config.WEB_CONCURRENCY === 1) return start(config)
  // Only loaded where it is used: alone, it would delay the first answer.
  const { supervise, worker } = await import('./cluster.node.ts')
  return worker ? start(config, worker) : supervise(config)
}

await main().catch(refuseToStart)
