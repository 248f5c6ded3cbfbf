import type { HonoRequest } from 'hono'
import type { Caller } from './access/can.ts'
import type { RateLimits } from './access/rate-limits.ts'
import type { Audit, Subject } from './audit/record.ts'
import type { Sessions } from './auth/authenticate.ts'
import type { PasswordHasher } from './auth/passwords.ts'
import type { TokenKeys } from './auth/tokens.ts'
import type { Config } from './config.ts'
import type { Pool } from './db/client.ts'
import type { Place } from './db/pages.ts'
import type { Log } from './http/log.ts'
import type { Assets } from './openapi/page.ts'
import type { Metrics } from './operation/metrics.ts'
import type { Tracing } from './operation/tracing.ts'
import type { Files } from './reports/files.ts'

/** All that a request may use. `node.ts` and `worker.ts` make it; nothing else reads the environment. */
export type Env = {
  config: Config
  db: Pool
  files: Files
  keys: TokenKeys
  passwords: PasswordHasher
  sessions: Sessions
  rateLimits: RateLimits
  audit: Audit
  log: Log
  metrics: Metrics
  /** Where traces are sent: undefined where nowhere. */
  tracing?: Tracing | undefined
  /** What the page at /docs is made of. */
  assets: Assets
  /** The client's address, as far as the entry can vouch for it. */
  address: string
  /** Whether the client speaks https, as far as the entry can vouch for it. */
  secure: boolean
  /** Whether the process is stopping, and only finishes what it was asked. */
  draining: boolean
}

/** What every route has. `can()` sets the caller; a route that reads patients' data names them as the subject of its trail. */
export type App = {
  Bindings: Env
  Variables: {
    requestId: string
    traceId?: string
    /** What every answer to this request carries. */
    headers: Record<string, string>
    /** The answer that carries it already. */
    complete?: Response
    caller?: Caller
    subject?: Subject
    /** Where the page begins that a cursor asks for, once that is known to be one of this list. */
    place?: Place
  }
}

/** The part of a context that is the same for every route, whatever its guards have added to it. */
export type Asked = { env: Env; req: HonoRequest; get(key: 'requestId'): string }
