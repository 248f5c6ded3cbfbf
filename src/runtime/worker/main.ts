import { MemoryAuthenticationCache } from '../../access/authenticate.ts'
import { auditLogFullProblem } from '../../access/can.ts'
import { createRateLimiters, type RateLimitBinding } from '../../access/rate-limits.ts'
import { importHmacKeys } from '../../access/tokens.ts'
import { app } from '../../app.ts'
import { UnwrittenEntries } from '../../audit/unwritten-entries.worker.ts'
import { createAuditWriter } from '../../audit/writer.ts'
import { type Config, ConfigError, findMisspeltSettings, parseConfig } from '../../config.ts'
import type {
  AuthenticationCache,
  Dependencies,
  DocsAssets,
  HmacKeys,
  Logger,
  PasswordHasher,
  RateLimiters,
} from '../../context.ts'
import { closeDatabase, connectDatabase } from '../../database/client.ts'
import { withDjangoHashes } from '../../features/auth/passwords.django.ts'
import { createWorkerPasswordHasher } from '../../features/auth/passwords.worker.ts'
import { createR2FileStore, type R2Bucket } from '../../features/reports/file-store.r2.ts'
import { discardBody } from '../../http/multipart-form.ts'
import { Problem } from '../../http/problem.ts'
import { buildProblemResponse } from '../../http/problem-response.ts'
import { createJsonLogger } from '../../observability/logger.ts'
import { noMetrics } from '../../observability/metrics.ts'
import { PasswordQueue, usesPassword } from './password-queue.ts'

type WorkerBindings = {
  HYPERDRIVE: { connectionString: string }
  REPORTS: R2Bucket
  ASSETS: AssetsBinding
  ACCOUNT_REQUESTS?: RateLimitBinding
  ADDRESS_REQUESTS?: RateLimitBinding
  [setting: string]: unknown
}
type AssetsBinding = { fetch(url: string): Promise<Response> }
type ExecutionContext = { waitUntil(work: Promise<unknown>): void; passThroughOnException(): void; props: unknown }

/** The folder that is uploaded with the Worker. Its files are asked for by URL, of whatever host. */
const createDocsAssets =
  (folder: AssetsBinding): DocsAssets =>
  async (name) => {
    const { body, headers } = await folder.fetch(`https://assets.local/${name}`)
    const [, version] = /"([^"]+)"/.exec(headers.get('ETag') ?? '') ?? []
    if (!body || version === undefined) throw new Error(`${name} was not uploaded with the Worker`)
    return { body, coding: 'identity', version }
  }

/** What outlives a request: settings, keys and memory, but no connection, since a socket belongs to one request. */
type Isolate = {
  unwritten: UnwrittenEntries
  config: Config
  logger: Logger
  hmacKeys: HmacKeys
  passwordHasher: PasswordHasher
  authenticationCache: AuthenticationCache
  rateLimiters: RateLimiters
  passwordQueue: PasswordQueue
}
let isolate: Isolate | undefined

async function createIsolate(bindings: WorkerBindings): Promise<Isolate> {
  const config = parseConfig({ ...bindings, DATABASE_URL: bindings.HYPERDRIVE.connectionString })
  // biome-ignore lint/suspicious/noConsole: it is how a Worker logs.
  const logger = createJsonLogger(config.LOG_LEVEL, (line) => console.log(line))
  for (const msg of findMisspeltSettings(bindings)) logger.warn({ msg })
  return {
    unwritten: new UnwrittenEntries(),
    config,
    logger,
    hmacKeys: await importHmacKeys(config),
    passwordHasher: withDjangoHashes(await createWorkerPasswordHasher()),
    authenticationCache: new MemoryAuthenticationCache(),
    rateLimiters: createRateLimiters(config, {
      account: bindings.ACCOUNT_REQUESTS,
      clientAddress: bindings.ADDRESS_REQUESTS,
    }),
    passwordQueue: new PasswordQueue(),
  }
}

/** An answer that is not the app's. */
function createProblemResponse(
  problem: Problem,
  request: Request,
  requestId = request.headers.get('X-Request-Id'),
): Response {
  const { status, headers, body } = buildProblemResponse(problem, {
    clientRequestId: requestId ?? undefined,
    isHttps: request.url.startsWith('https:'),
  })
  return new Response(body, { status, headers })
}

/** The answer while the settings cannot be used: which ones is for the log alone. */
function createConfigErrorResponse(error: unknown, request: Request): Response {
  if (!(error instanceof ConfigError)) throw error
  // biome-ignore lint/suspicious/noConsole: it is how a Worker logs.
  console.error(error.message)
  return createProblemResponse(new Problem('internal'), request)
}

/** Answers, once it is its turn where it takes a password: until then it holds no connection. */
async function runApp(
  request: Request,
  dependencies: Dependencies,
  context: ExecutionContext,
  passwordQueue: PasswordQueue,
): Promise<Response> {
  if (!usesPassword(request)) return app.fetch(request, dependencies, context)
  const endTurn = await passwordQueue.waitForTurn().catch((error: unknown) => {
    if (error instanceof Problem) return error
    throw error
  })
  if (endTurn instanceof Problem) return createProblemResponse(endTurn, request)
  try {
    return await app.fetch(request, dependencies, context)
  } finally {
    endTurn()
  }
}

/** In place of an answer that would be in no audit log. */
function discardUnaudited(response: Response, request: Request): Response {
  void response.body?.cancel()
  return createProblemResponse(auditLogFullProblem(), request, response.headers.get('X-Request-Id'))
}

export default {
  async fetch(request: Request, bindings: WorkerBindings, context: ExecutionContext): Promise<Response> {
    try {
      isolate ??= await createIsolate(bindings)
    } catch (error) {
      return createConfigErrorResponse(error, request)
    }
    const { DATABASE_TIMEOUT_MS: statementTimeoutMs } = isolate.config
    const db = connectDatabase(bindings.HYPERDRIVE.connectionString, {
      maxConnections: 5,
      statementTimeoutMs,
      setServerTimeouts: false,
    })
    const auditWriter = createAuditWriter(db, isolate.logger)
    const dependencies: Dependencies = {
      ...isolate,
      db,
      fileStore: createR2FileStore(bindings.REPORTS),
      docsAssets: createDocsAssets(bindings.ASSETS),
      auditWriter,
      metrics: noMetrics,
      clientAddress: request.headers.get('CF-Connecting-IP') ?? '',
      isHttps: request.url.startsWith('https:'),
      isDraining: false,
    }
    let response = await runApp(request, dependencies, context, isolate.passwordQueue)
    await discardBody(request, 32 * 1024 * 1024)
    // Behind the answer: the trail, then the connections. Where the trail could not be written the last time, in front of it.
    const { unwritten, logger } = isolate
    if (unwritten.failing && auditWriter.pendingCount > 0 && !(await unwritten.writeBefore(auditWriter)))
      response = discardUnaudited(response, request)
    context.waitUntil(unwritten.writeBehind(auditWriter, logger).finally(() => closeDatabase(db, 1)))
    return response
  },
}
