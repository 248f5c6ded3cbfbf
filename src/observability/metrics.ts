import type { Metrics } from '../context.ts'

/** Keeps nothing: an isolate of Workers cannot be asked for its figures. */
export const noMetrics: Metrics = {
  recordRequest() {},
  countFailedLogin() {},
  countFileStoreFailure() {},
  exposition: undefined,
}
