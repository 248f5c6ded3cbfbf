import type { Config } from '../config.ts'
import type { Asked } from '../env.ts'
import { Problem } from '../http/problem.ts'
import type { RateLimitName } from './rate-limits.ts'

/** What each limit of use counts, by its setting. Whoever reaches one is told in these words, and so is the OpenAPI document. */
export const limits = {
  REQUESTS_PER_ACCOUNT_MIN: 'requests a minute of one account',
  REQUESTS_PER_ADDRESS_MIN: 'requests a minute without a valid access token from one address',
} as const satisfies Partial<Record<keyof Config, string>>

export type LimitName = keyof typeof limits
export const limitNames: readonly LimitName[] = ['REQUESTS_PER_ACCOUNT_MIN', 'REQUESTS_PER_ADDRESS_MIN']

/** The refusal of what is beyond a limit until so many seconds have passed. */
export const beyondLimit = (config: Config, name: LimitName, seconds: number): Problem =>
  new Problem('too-many-requests', {
    detail: `The limit is ${config[name]} ${limits[name]}. Try again in ${seconds} ${seconds === 1 ? 'second' : 'seconds'}.`,
    headers: { 'Retry-After': String(seconds) },
  })

/** Those of signing in have throttles of their own; the others are asked by monitors, which must always get an answer. */
const uncounted = /^\/(?:api\/auth|healthz|readyz|metrics)(?:\/|$)/

/** Whether requests to a path, or to the paths of a route, are counted. */
export const isCounted = (path: string): boolean => !uncounted.test(path)

/**
 * Counts a request of `key`, an account or a network of addresses.
 * @returns a promise only on Workers, so that on Node no request waits for one
 * @throws {Problem} 429 where it is one too many
 */
export function countRequest(c: Asked, name: RateLimitName, key: string): Promise<void> | undefined {
  if (!isCounted(c.req.path)) return undefined
  const seconds = c.env.rateLimits[name](key)
  if (seconds === 0) return undefined
  if (typeof seconds === 'number') throw beyondLimit(c.env.config, name, seconds)
  return seconds.then((later) => {
    if (later > 0) throw beyondLimit(c.env.config, name, later)
  })
}
