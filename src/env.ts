import type { HonoRequest } from 'hono'
import type { RequestContext } from './access/can.ts'
import type { RateLimiters } from './access/rate-limits.ts'
import type { AuditSubject, AuditWriter } from './audit/record.ts'
import type { SessionCache } from './auth/authenticate.ts'
import type { PasswordHasher } from './auth/passwords.ts'
import type { TokenKeys } from './auth/tokens.ts'
import type { Config } from './config.ts'
import type { Database } from './db/client.ts'
import type { CursorPosition } from './db/pages.ts'
import type { Logger } from './http/log.ts'
import type { DocsAssets } from './openapi/page.ts'
import type { Metrics } from './operation/metrics.ts'
import type { Tracing } from './operation/tracing.ts'
import type { FileStore } from './reports/files.ts'

/** All that a request may use. `node.ts` and `worker.ts` make it; nothing else reads the environment. */
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
