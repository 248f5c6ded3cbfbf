import type { BaseContext, RateLimitName } from '../context.ts'
import { limitExceededProblem } from '../http/usage-limits.ts'

/** Those of signing in have throttles of their own; the others are asked by monitors, which must always get an answer. */
const uncountedPaths = /^\/(?:api\/auth|healthz|readyz|metrics)(?:\/|$)/

/** Whether requests to a path, or to the paths of a route, are counted. */
export const isPathCounted = (path: string): boolean => !uncountedPaths.test(path)

/**
 * Counts a request of `key`, an account or a network of addresses.
 * @returns a promise only on Workers, so that on Node no request waits for one
 * @throws {Problem} 429 where it is one too many
 */
export function countRequest(c: BaseContext, name: RateLimitName, key: string): Promise<void> | undefined {
  if (!isPathCounted(c.req.path)) return undefined
  const seconds = c.env.rateLimiters[name](key)
  if (seconds === 0) return undefined
  if (typeof seconds === 'number') throw limitExceededProblem(c.env.config, name, seconds)
  return seconds.then((later) => {
    if (later > 0) throw limitExceededProblem(c.env.config, name, later)
  })
}
