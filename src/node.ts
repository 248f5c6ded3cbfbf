import { once } from 'node:events'
import { createServer } from 'node:http'
import { availableParallelism } from 'node:os'
import { getRequestListener } from '@hono/node-server'
import { count } from 'drizzle-orm'
import { app } from './app.ts'
import { auditLog } from './audit/record.ts'
import { Sessions } from './auth/authenticate.ts'
import { withDjango } from './auth/passwords.django.ts'
import { nodeHasher } from './auth/passwords.node.ts'
import { limited } from './auth/passwords.ts'
import { users } from './auth/schema.ts'
import { tokenKeys } from './auth/tokens.ts'
import { ConfigError } from './config.ts'
import { close, connect } from './db/client.ts'
import { nodeLog } from './http/log.node.ts'
import { senderBehind } from './http/sender.ts'
import { packageAssets } from './openapi/assets.node.ts'
import { nodeMetrics } from './operation/metrics.node.ts'
import { collected } from './reports/files.node.ts'
import { configure, openDatabase, openFiles, refuseToStart } from './setup.ts'

/** How long requests under way may take to finish when the process is told to stop, in ms. */
const patience = 7000
/** How long a request may take to arrive, in ms: 20 MiB at 25 KB/s. And how long without a byte of it or its answer. */
const slowest = 15 * 60_000
const stalled = 60_000

async function start() {
  const config = await configure(process.env)
  const say = (line: string) => process.stdout.write(`${line}\n`)
  const { log, flushed } = nodeLog(config, process.stdout)
  const files = collected(await openFiles(config))
  const database = await openDatabase(config)
  const db = connect(database.url, { max: config.DATABASE_POOL_MAX })

  let flushing: NodeJS.Timeout | undefined
  const audit = auditLog(db, log, () => {
    flushing ??= setTimeout(() => {
      flushing = undefined
      void audit.flush()
    }, 1000)
  })
  const passwords = limited(withDjango(nodeHasher), availableParallelism())
  // Loaded only where it is used: it takes long.
  const tracing = config.OTEL_EXPORTER_OTLP_ENDPOINT
    ? (await import('./operation/tracing.node.ts')).startTracing(log)
    : undefined
  const env = {
    config,
    db,
    assets: packageAssets,
    files,
    log,
    audit,
    metrics: nodeMetrics({ auditBacklog: () => audit.backlog, passwordsWaiting: () => passwords.waiting }),
    tracing,
    passwords,
    keys: await tokenKeys(config),
    sessions: new Sessions(),
  }
  const senderOf = senderBehind(config.TRUST_PROXY)

  const server = createServer(
    { headersTimeout: 10_000, requestTimeout: slowest, keepAliveTimeout: 65_000 },
    getRequestListener((request, { incoming }) => app.fetch(request, { ...env, ...senderOf(incoming) })),
  )
  server.setTimeout(stalled)
  server.listen(config.PORT, config.HOST)
  await once(server, 'listening').catch((error: NodeJS.ErrnoException) => {
    throw error.code === 'EADDRINUSE'
      ? new ConfigError(`Port ${config.PORT} of ${config.HOST} is taken: stop what uses it, or set PORT.`)
      : error
  })

  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : config.PORT
  if (config.NODE_ENV === 'production') log.info({ msg: 'listening', host: config.HOST, port })
  else {
    const url = `http://${config.HOST.includes(':') ? `[${config.HOST}]` : config.HOST}:${port}`
    say(`The hospital API is at ${url}, its guide in README.md.`)
    if (database.embedded)
      say(`Its data is in ${config.DATA_DIR}, in an embedded PostgreSQL for trying out and developing: ${database.url}`)
    const [accounts] = await db
      .select({ count: count() })
      .from(users)
      .catch(() => [])
    if (accounts?.count === 0 && config.FIRST_USER_IS_ADMIN)
      say('The first account that registers becomes the administrator.')
  }

  /** Takes no more connections, finishes what is under way, writes the trail, and closes what it opened. */
  async function stop() {
    const closed = once(server, 'close')
    server.close()
    server.closeIdleConnections()
    const cutOff = setTimeout(() => server.closeAllConnections(), patience)
    await closed
    clearTimeout(cutOff)
    clearTimeout(flushing)
    await Promise.all([audit.flush(), tracing?.stop()])
    await close(db, 1)
    await database.stop()
    await flushed()
    process.exit(0)
  }
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => void stop().catch(refuseToStart))
}

await start().catch(refuseToStart)
