import { LRUCache } from 'lru-cache'
import type { Config } from '../config.ts'
import type { BaseContext, RateLimiter, RateLimiters, RateLimitSetting } from '../context.ts'
import { limitExceededProblem } from '../http/usage-limits.ts'

/** Cloudflare's binding, which counts over all isolates of a location; its limit stands in wrangler.toml. */
export type RateLimitBinding = { limit(options: { key: string }): Promise<{ success: boolean }> }

const windowSeconds = 60
/** Of so many keys the counts are kept, those counted last: whoever sends from many addresses cannot fill the memory. */
const maxKeys = 10_000

/** Counts in this process, in a window that begins with a key's first request. By a clock that nobody sets back. */
function createMemoryRateLimiter(maxRequests: number): (key: string) => number {
  const windows = new LRUCache<string, { count: number; endsAt: number }>({ max: maxKeys })
  return (key) => {
    const now = performance.now()
    const window = windows.get(key)
    if (window === undefined || window.endsAt <= now) {
      windows.set(key, { count: 1, endsAt: now + windowSeconds * 1000 })
      return 0
    }
    window.count += 1
    return window.count <= maxRequests ? 0 : Math.ceil((window.endsAt - now) / 1000)
  }
}

function createRateLimiter(maxRequests: number, binding: RateLimitBinding | undefined): RateLimiter {
  if (maxRequests === 0) return () => 0
  const countInMemory = createMemoryRateLimiter(maxRequests)
  if (!binding) return countInMemory
  return (key) =>
    countInMemory(key) ||
    binding.limit({ key }).then(
      ({ success }) => (success ? 0 : windowSeconds),
      // Requests are not refused because nobody can count them.
      () => 0,
    )
}

/** The limits of requests as the settings say, with none for 0, and on Workers by the bindings too. */
export const createRateLimiters = (
  config: Config,
  bindings: { account?: RateLimitBinding | undefined; clientAddress?: RateLimitBinding | undefined } = {},
): RateLimiters => ({
  REQUESTS_PER_ACCOUNT_MIN: createRateLimiter(config.REQUESTS_PER_ACCOUNT_MIN, bindings.account),
  REQUESTS_PER_ADDRESS_MIN: createRateLimiter(config.REQUESTS_PER_ADDRESS_MIN, bindings.clientAddress),
})

/** Those of signing in have throttles of their own; the others are asked by monitors, which must always get an answer. */
const uncountedPaths = /^\/(?:api\/auth|healthz|readyz|metrics)(?:\/|$)/

/** Whether requests to a path, or to the paths of a route, are counted. */
export const isPathCounted = (path: string): boolean => !uncountedPaths.test(path)

/**
 * Counts a request of `key`, an account or a network of addresses.
 * @returns a promise only on Workers, so that on Node no request waits for one
 * @throws {Problem} 429 where it is one too many
 */
export function countRequest(c: BaseContext, name: RateLimitSetting, key: string): Promise<void> | undefined {
  if (!isPathCounted(c.req.path)) return undefined
  const seconds = c.env.rateLimiters[name](key)
  if (seconds === 0) return undefined
  if (typeof seconds === 'number') throw limitExceededProblem(c.env.config, name, seconds)
  return seconds.then((later) => {
    if (later > 0) throw limitExceededProblem(c.env.config, name, later)
  })
}
