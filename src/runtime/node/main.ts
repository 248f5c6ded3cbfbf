import type { Worker } from 'node:cluster'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { count } from 'drizzle-orm'
import { MemoryAuthenticationCache } from '../../access/authenticate.ts'
import { createRateLimiters } from '../../access/rate-limits.ts'
import { importHmacKeys } from '../../access/tokens.ts'
import { app } from '../../app.ts'
import { replaySpool, saveToSpool } from '../../audit/spool.node.ts'
import { createAuditWriter, flushAtShutdown } from '../../audit/writer.ts'
import { type Config, ConfigError, findMisspeltSettings } from '../../config.ts'
import { closeDatabase, connectDatabase, getPoolStats } from '../../database/client.ts'
import { describeDatabaseUrl } from '../../database/error-descriptions.ts'
import { losesPreparedStatements } from '../../database/pool/pooler-detection.ts'
import { withDjangoHashes } from '../../features/auth/passwords.django.ts'
import { nodePasswordHasher } from '../../features/auth/passwords.node.ts'
import { limitHasher } from '../../features/auth/passwords.ts'
import { users } from '../../features/auth/schema.ts'
import { withEagerBufferGc } from '../../features/reports/file-store.node.ts'
import { withFailureListener } from '../../features/reports/file-store.ts'
import { createNodeLogger } from '../../observability/logger.node.ts'
import { createNodeMetrics } from '../../observability/metrics.node.ts'
import { createReadinessCheck, logReadinessChanges } from '../../observability/readiness.ts'
import { readPackageAsset } from '../../openapi/assets.node.ts'
import { createTrustedProxyResolver } from './client-address.ts'
import { createDrainer } from './draining.ts'
import { handleRequests } from './http-server.ts'
import { stopOnSignal } from './signals.ts'
import { getActivatedSocket } from './socket-activation.ts'
import { exitWithError, loadConfig, openDatabase, openFileStore } from './startup.ts'

/** When the process is told to stop: how long requests under way may take to finish, and all of it, in ms. */
const drainTimeoutMs = 7000
const processStopTimeoutMs = 9500
/** How long a request may take to arrive, in ms: 20 MiB at 25 KB/s. And how long without a byte of it or its answer. */
const requestTimeoutMs = 15 * 60_000
const socketTimeoutMs = 60_000
/** How often Node looks for requests that take too long to arrive, in ms. */
const arrivalCheckMs = 5000
/** How long an entry of the audit log may wait to be written with others, in ms. */
const auditFlushDelayMs = 1000
/** Connections of a process at once: each keeps some memory, also where nothing is asked over it. */
const maxConnections = 10_000

/** Serves, alone or as one of several processes. */
async function startServer(config: Config, worker?: Worker) {
  const printLine = (line: string) => process.stdout.write(`${line}\n`)
  const { logger, flushAndWait } = createNodeLogger(config, process.stdout, worker && { pid: process.pid })
  /** Finishes what is under way; while the process starts, there is nothing. */
  let finish = async () => {}
  stopOnSignal({
    logger,
    flushLog: flushAndWait,
    timeoutMs: processStopTimeoutMs,
    async stop() {
      await finish()
      return 0
    },
  })
  // Node itself would print the error whole, and a database's holds what was written.
  process.on('uncaughtException', (err) => {
    logger.error({ msg: 'uncaught exception, exiting', err })
    process.exit(1)
  })
  const isFirst = worker === undefined || worker.id === 1
  if (isFirst) for (const msg of findMisspeltSettings(process.env)) logger.warn({ msg })
  const fileStore = await openFileStore(config)
  const fault = await fileStore.findFault()
  if (fault) logger.warn({ msg: fault })
  const database = await openDatabase(config)
  let hasWarned = false
  const warnOfLostStatements = () => {
    if (!hasWarned)
      logger.warn({
        msg: 'Something between here and PostgreSQL loses prepared statements, so requests fail with 503: set DATABASE_PREPARE=false.',
      })
    hasWarned = true
  }
  const db = connectDatabase(database.url, {
    maxConnections: config.DATABASE_POOL_MAX,
    prepare: config.DATABASE_PREPARE,
    statementTimeoutMs: config.DATABASE_TIMEOUT_MS,
    onStatementLost: warnOfLostStatements,
  })

  // That the database cannot be reached is said elsewhere, and what is not found out now shows later.
  if (config.DATABASE_PREPARE && !database.isEmbedded && isFirst)
    void losesPreparedStatements(database.url).then(
      (loses) => loses && warnOfLostStatements(),
      () => {},
    )

  const auditWriter = createAuditWriter(db, logger, auditFlushDelayMs)
  const spoolFolder = config.AUDIT_SPOOL_DIR ?? config.DATA_DIR
  const stopping = new AbortController()
  void replaySpool(spoolFolder, auditWriter, logger, stopping.signal)
  const databaseName = config.DATABASE_URL
    ? describeDatabaseUrl(config.DATABASE_URL)
    : `the embedded database in ${config.DATA_DIR}`
  const stopWatching = logReadinessChanges(db, databaseName, logger)
  const passwordHasher = limitHasher(
    withDjangoHashes(nodePasswordHasher),
    Math.ceil(availableParallelism() / config.WEB_CONCURRENCY),
  )
  // Loaded only where it is used: it takes long.
  const tracing = config.OTEL_EXPORTER_OTLP_ENDPOINT
    ? (await import('../../observability/tracing.node.ts')).startTracing(logger)
    : undefined
  const isReady = createReadinessCheck(db)
  const metrics = createNodeMetrics({
    auditBacklog: () => auditWriter.pendingCount,
    auditLost: () => auditWriter.lostCount,
    passwordsWaiting: () => passwordHasher.waitingCount,
    pool: () => getPoolStats(db),
    ready: async () => !drainer.isDraining && isReady(),
    commit: config.GIT_COMMIT,
  })
  const dependencies = {
    config,
    db,
    docsAssets: readPackageAsset,
    fileStore: withFailureListener(withEagerBufferGc(fileStore), metrics.countFileStoreFailure),
    logger,
    auditWriter,
    metrics,
    tracing,
    passwordHasher,
    hmacKeys: await importHmacKeys(config),
    authenticationCache: new MemoryAuthenticationCache(),
    rateLimiters: createRateLimiters(config),
  }

  const server = createServer({
    headersTimeout: 10_000,
    requestTimeout: requestTimeoutMs,
    connectionsCheckingInterval: arrivalCheckMs,
    keepAliveTimeout: 65_000,
    requireHostHeader: false,
  })
  server.setTimeout(socketTimeoutMs)
  server.maxConnections = maxConnections
  const drainer = createDrainer(server)
  handleRequests(server, {
    logger,
    resolveClient: createTrustedProxyResolver(config.TRUST_PROXY),
    fetch: (request, client) => app.fetch(request, { ...dependencies, ...client, isDraining: drainer.isDraining }),
  })
  const fd = getActivatedSocket(process.env, worker ? process.ppid : process.pid)
  server.listen(fd === undefined ? { port: config.PORT, host: config.HOST } : { fd })
  await once(server, 'listening').catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'EADDRINUSE'
      ? new ConfigError(`Port ${config.PORT} of ${config.HOST} is taken: stop what uses it, or set PORT.`)
      : error
  })

  /** Takes no more connections, finishes what is under way, writes the trail, and closes what it opened. */
  finish = async () => {
    await drainer.drain(drainTimeoutMs)
    stopping.abort()
    stopWatching()
    await Promise.all([flushAtShutdown(auditWriter, logger, (rows) => saveToSpool(spoolFolder, rows)), tracing?.stop()])
    await closeDatabase(db, 1)
    await database.stop()
  }

  const listening = server.address()
  if (typeof listening !== 'object' || !listening)
    throw new ConfigError('The socket that systemd handed over is not of TCP.')
  const { address: host, port } = listening
  if (config.NODE_ENV === 'production') logger.info({ msg: 'listening', host, port })
  else if (isFirst) {
    const url = `http://${host.includes(':') ? `[${host}]` : host}:${port}`
    printLine(`The hospital API is at ${url}, its guide in README.md.`)
    if (database.isEmbedded)
      printLine(
        `Its data is in ${config.DATA_DIR}, in an embedded PostgreSQL for trying out and developing. Its URL is in ${join(config.DATA_DIR, 'database-url')}.`,
      )
    const [accounts] = await db
      .select({ count: count() })
      .from(users)
      .catch(() => [])
    if (accounts?.count === 0 && config.FIRST_USER_IS_ADMIN)
      printLine('The first account that registers becomes the administrator.')
  }
}

async function main() {
  const config = await loadConfig(process.env)
  if (config.WEB_CONCURRENCY === 1) return startServer(config)
  // Only loaded where it is used: alone, it would delay the first answer.
  const { superviseWorkers, worker } = await import('./cluster.ts')
  return worker ? startServer(config, worker) : superviseWorkers(config)
}

await main().catch(exitWithError)
