import type { PostgresJsDatabase } from 'drizzle-orm/postgres-js'
import type { HonoRequest } from 'hono'
import type postgres from 'postgres'
import type { Config } from './config.ts'
import type { Role, RowScope } from './roles.ts'

/** All that a request may use. `runtime/node/main.ts` and `runtime/worker/main.ts` make it; nothing else reads the environment. */
export type Dependencies = {
  config: Config
  db: Database
  fileStore: FileStore
  hmacKeys: HmacKeys
  passwordHasher: PasswordHasher
  authenticationCache: AuthenticationCache
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
    /** Who asks for what, for the entry that the request leaves in the audit log. */
    auditedRequest?: { principal: Principal; client: ClientInfo; action: string; isAudited: boolean }
    auditSubject?: AuditSubject
    /** Where the page begins that a cursor asks for, once that is known to be one of this list. */
    cursorPosition?: CursorPosition
  }
}

/** The part of a context that is the same for every route, whatever its guards have added to it. */
export type BaseContext = { env: Dependencies; req: HonoRequest; get(key: 'requestId'): string }

/** What is known of the client of a request, whoever is signed in. */
export type ClientInfo = { ip: string; userAgent: string | null; requestId: string }

/** Who asks, what for, and how far they may go. */
export type RequestContext = {
  principal: Principal
  /** The rows that the permission reaches. */
  scope: RowScope
  /** What the audit log calls it. */
  action: string
  client: ClientInfo
}

/** What a route behind `can` has: a request context. */
export type GuardedEnv = { Bindings: Dependencies; Variables: AppEnv['Variables'] & { requestContext: RequestContext } }

/** Whose data an entry is about. A list of patients' data names all of them. */
export type AuditSubject = { resourceId?: string | undefined; patientId?: string | undefined; patientIds?: string[] }

/** Who did it, from where. */
export type AuditActor = ClientInfo & { userId: string | null; role: string | null }

/** One row of the trail, as it is written behind an answer. */
export type AuditEntry = AuditActor & AuditSubject & { action: string; resource: string; status: number }

/** Takes entries that need not delay an answer, and writes them in batches. */
export type AuditWriter = {
  /** Never waits and never fails. */
  enqueue(entry: AuditEntry): void
  /** How many entries are still to be written. */
  readonly pendingCount: number
  /** Whether so many are that no further may be made: nothing is shown then that would leave one. */
  readonly isFull: boolean
  /** How many were not written and never will be. */
  readonly lostCount: number
  /** Resolves when what was added before is written, or has failed: to how many entries wait for the next time. */
  flush(): Promise<number>
  /** Writes rows as {@link AuditWriter.takePending} gave them, once each, however often. Resolves to whether the database took them. */
  writeRows(rows: readonly string[]): Promise<boolean>
  /** Gives away what still waits, as JSON. */
  takePending(): string[]
  /** Counts entries that are given up. */
  countLost(entries: number): void
}

/** Counts one request of a key: 0 where it is within the limit, else in how many seconds the next one will be. */
export type RateLimiter = (key: string) => number | Promise<number>

/** The settings whose limits are counted in memory, a minute at a time. */
export type RateLimitSetting = 'REQUESTS_PER_ACCOUNT_MIN' | 'REQUESTS_PER_ADDRESS_MIN'

/** A limiter for each of these settings. */
export type RateLimiters = Record<RateLimitSetting, RateLimiter>

/** Where the bytes of reports are kept. A key is a report's id, and is written once. */
export type FileStore = {
  /** Keeps what `bytes` gives, whole or, where it throws, not at all. */
  put(key: string, bytes: AsyncIterable<Uint8Array>): Promise<void>
  /** Undefined where nothing is kept under the key. */
  get(key: string, range?: ByteRange): Promise<ReadableStream<Uint8Array> | undefined>
  /** Does nothing where nothing is kept under the key. */
  delete(key: string): Promise<void>
}

/** And that can be looked through: all that was kept, and what was left half-written, by whatever key deletes it. */
export type ListableFileStore = FileStore & {
  list(): AsyncIterable<{ key: string; modified: Date }>
  /** Resolves to a sentence that says why files cannot be kept just now, or soon; undefined where they can. */
  findFault(): Promise<string | undefined>
}

/** The bytes from `first` to `last`, both included, counted from 0. */
export type ByteRange = { first: number; last: number }

/** How much a line of the log matters. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

/** What a line tells. An error stands in `err`. */
export type LogFields = Record<string, unknown>

/** A function for each level; what is below `LOG_LEVEL` goes nowhere. */
export type Logger = Record<LogLevel, (fields: LogFields) => void>

/** What requests report to, for whoever watches over the service. `runtime/node/main.ts` and `runtime/worker/main.ts` say who listens. */
export type Metrics = {
  /** A request by `method` to the pattern `route` was answered with `status` after `seconds`. */
  recordRequest(method: string, route: string, status: number, seconds: number): void
  /** Someone could not sign in. */
  countFailedLogin(): void
  /** A report's file could not be kept, read or deleted. */
  countFileStoreFailure(): void
  /** All figures in Prometheus' text format; undefined where none are kept. */
  exposition: (() => Promise<string>) | undefined
}

/** Where a request stands in the sender's trace (W3C Trace Context, section 3.2). */
export type TraceParent = { traceId: string; spanId: string; sampled: boolean }

/** A request under way, as a span of its trace. */
export type RequestSpan = {
  traceId: string
  spanId: string
  /** The request was answered with `status`. `route` is a pattern, undefined where there is no such path. */
  end(route: string | undefined, status: number): void
}

/** Follows requests from service to service. */
export type Tracing = { begin(method: string, scheme: 'http' | 'https', parent: TraceParent | undefined): RequestSpan }

/** What the page at /docs takes from Swagger UI. */
export type DocsAssetName = 'swagger-ui.css' | 'swagger-ui-bundle.js'

/** A content coding (RFC 9110, section 8.4.1). */
export type Coding = 'identity' | 'gzip'

/**
 * Where the files of Swagger UI are: on Node its package, on Workers the assets uploaded with the Worker. In the `coding`
 * that the client prefers, or as they are: Cloudflare compresses what a Worker answers by itself.
 */
export type DocsAssets = (name: DocsAssetName, coding: Coding) => Promise<DocsAsset>

/** A file, and what its ETag is made of, which changes with it. */
export type DocsAsset = { body: ReadableStream | Uint8Array<ArrayBuffer>; coding: Coding; version: string }

/** Connections to take. */
export type Database = PostgresJsDatabase & { $client: postgres.Sql }

/** What a statement is sent to: a pool, or the transaction that it is part of. */
export type DatabaseOrTransaction = Omit<PostgresJsDatabase, 'transaction'>

/** A row's place in the order of a list: the text of its sort key, and its id. */
export type CursorPosition = { key: string; id: string }

/**
 * The HMAC keys made of the secrets: one signs, all of them verify, one seals cursors. Requests are hashed with the first
 * of theirs, and known by any.
 */
export type HmacKeys = {
  signingKey: CryptoKey
  verifyingKeys: CryptoKey[]
  cursorKey: Uint8Array
  requestHashKeys: Uint8Array[]
}

/** Makes and checks argon2id hashes in the PHC string format, which every runtime reads. */
export type PasswordHasher = {
  hash(password: string): Promise<string>
  /** Where the check has to wait for others, `recheck` is called when its turn comes: what it throws is thrown, unchecked. */
  verify(phc: string, password: string, recheck?: () => Promise<void>): Promise<boolean>
}

/** Who is signed in. */
export type Principal = { id: string; role: Role; sessionId: string }

/** What a token says (RFC 7519, section 4.1): `sub` is the account, `sid` its session. */
export type TokenClaims = {
  iss: string
  aud: string
  sub: string
  sid: string
  jti: string
  typ: 'access' | 'refresh'
  iat: number
  nbf?: number | undefined
  exp: number
}

/** What is remembered of tokens and sessions, so that a request costs neither a signature check nor a query. */
export type AuthenticationCache = {
  /** The claims of a good access token. */
  getClaims(c: BaseContext, token: string): Promise<TokenClaims | undefined>
  /** Who is signed in by a session that has not ended; `asksDatabase` also where it was asked a moment ago. */
  getPrincipal(db: Database, sessionId: string, asksDatabase?: boolean): Promise<Principal | undefined>
  /** Forgets a session, or all sessions of an account: the next request asks the database. */
  forget(ended: { session: string } | { user: string }): void
}
