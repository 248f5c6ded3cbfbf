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

/** Keeps nothing: an isolate of Workers cannot be asked for its figures. */
export const noMetrics: Metrics = {
  recordRequest() {},
  countFailedLogin() {},
  countFileStoreFailure() {},
  exposition: undefined,
}
