import type { HonoRequest } from 'hono'
import type { RequestContext } from './access/can.ts'
import type { RateLimiters } from './access/rate-limits.ts'
import type { AuditSubject, AuditWriter } from './audit/entry.ts'
import type { Config } from './config.ts'
import type { Database } from './database/client.ts'
import type { CursorPosition } from './database/query/keyset-list.ts'
import type { SessionCache } from './features/auth/authenticate.ts'
import type { PasswordHasher } from './features/auth/passwords.ts'
import type { TokenKeys } from './features/auth/tokens.ts'
import type { FileStore } from './features/reports/file-store.ts'
import type { Logger } from './observability/logger.ts'
import type { Metrics } from './observability/metrics.ts'
import type { Tracing } from './observability/tracing.ts'
import type { DocsAssets } from './openapi/docs-page.ts'

/** All that a request may use. `runtime/node/main.ts` and `runtime/worker/main.ts` make it; nothing else reads the environment. */
export type Dependencies = {
  config: Config
  db: Database
  fileStore: FileStore
  tokenKeys: TokenKeys
  passwordHasher: PasswordHasher
  sessionCache: SessionCache
  rateLimiters: RateLimiters
  auditWriter: AuditWriter
  logger: Logger
  metrics: Metrics
  /** Where traces are sent: undefined where nowhere. */
  tracing?: Tracing | undefined
  /** What the page at /docs is made of. */
  docsAssets: DocsAssets
  /** The client's address, as far as the entry can vouch for it. */
  clientAddress: string
  /** Whether the client speaks https, as far as the entry can vouch for it. */
  isHttps: boolean
  /** Whether the process is stopping, and only finishes what it was asked. */
  isDraining: boolean
}

/** What every route has. `can()` sets the caller; a route that reads patients' data names them as the subject of its trail. */
export type AppEnv = {
  Bindings: Dependencies
  Variables: {
    requestId: string
    traceId?: string
    /** What every answer to this request carries. */
    responseHeaders: Record<string, string>
    /** The answer that carries it already. */
    finishedResponse?: Response
    requestContext?: RequestContext
    auditSubject?: AuditSubject
    /** Where the page begins that a cursor asks for, once that is known to be one of this list. */
    cursorPosition?: CursorPosition
  }
}

/** The part of a context that is the same for every route, whatever its guards have added to it. */
export type BaseContext = { env: Dependencies; req: HonoRequest; get(key: 'requestId'): string }
