import pLimit from 'p-limit'
import type { Config } from '../../config.ts'
import type { PasswordHasher } from '../../context.ts'
import { type FieldError, Problem } from '../../http/problem.ts'
import { commonPasswords } from './common-passwords.ts'

/** OWASP's parameters for argon2id: memory in KiB, passes, lanes. */
export const argon2Parameters = { m: 19_456, t: 2, p: 1 } as const

const phcPattern = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,2})\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{16,86}$/

const parseArgon2Parameters = (hash: string) => {
  const [, m, t, p] = phcPattern.exec(hash) ?? []
  return { m: Number(m), t: Number(t), p: Number(p) }
}

/** Whether `hash` is an argon2id hash that may be computed here: one with huge parameters would take the process down. */
export const hasAcceptableCost = (hash: string): boolean => {
  const { m, t, p } = parseArgon2Parameters(hash)
  return m <= 65_536 && t <= 10 && p <= 4
}

/** Whether `hash` was made with other parameters than today's. */
export const needsRehash = (hash: string): boolean => {
  const { m, t, p } = parseArgon2Parameters(hash)
  return m !== argon2Parameters.m || t !== argon2Parameters.t || p !== argon2Parameters.p
}

/** Hashes of no password: checked where there is no account, so that it takes as long as where there is one. */
export const dummyHash =
  '$argon2id$v=19$m=19456,t=2,p=1$TGgYpC90Sk/XFVwavEK+uQ$1d+JMEkKU6ISylFvwlBT6zOjOMlQRRzLQEvyFunWuI4'

/** A hasher that says how many passwords wait for it. */
export type LimitedHasher = PasswordHasher & { readonly waitingCount: number }

/** How many passwords may wait to be hashed, and how long each, in ms. */
const maxWaitingHashes = 1000
const maxHashWaitMs = 15_000

/** The refusal, a 503, of a password that would wait too long to be hashed. */
export const tooManyWaitingProblem = () =>
  new Problem('unavailable', {
    detail: 'Too many passwords wait to be checked. Try again in a moment.',
    headers: { 'Retry-After': '5' },
  })

/**
 * At most `maxConcurrent` at once and so many behind them, none longer than so long: a flood of sign-ins must starve nothing else.
 * @throws {Problem} 503 where too many wait, or one has waited too long
 */
export function limitHasher(
  hasher: PasswordHasher,
  maxConcurrent: number,
  maxWaiting = maxWaitingHashes,
  maxWaitMs = maxHashWaitMs,
): LimitedHasher {
  const limit = pLimit(maxConcurrent)
  const runLimited = <T>(work: () => Promise<T>, recheck?: () => Promise<void>) => {
    if (limit.pendingCount >= maxWaiting) throw tooManyWaitingProblem()
    const deadline = performance.now() + maxWaitMs
    const mustWait = limit.activeCount + limit.pendingCount >= maxConcurrent
    return limit(async () => {
      if (performance.now() > deadline) throw tooManyWaitingProblem()
      if (mustWait) await recheck?.()
      return work()
    })
  }
  return {
    get waitingCount() {
      return limit.pendingCount
    },
    hash: async (password) => runLimited(() => hasher.hash(password)),
    verify: async (hash, password, recheck) => runLimited(() => hasher.verify(hash, password), recheck),
  }
}

/** Why `password` may not be the password of an account of this name and address; empty where it may. */
export function findPasswordErrors(
  config: Config,
  path: string,
  password: string,
  account: { name: string; email: string },
): FieldError[] {
  const min = config.PASSWORD_MIN_LENGTH
  if ([...password].length < min)
    return [{ path, message: `must be at least ${min} characters long`, code: 'too_small' }]
  const lowerCased = password.toLowerCase()
  const guessable =
    commonPasswords.has(lowerCased) || [account.email, account.name].some((value) => value.toLowerCase() === lowerCased)
  return guessable
    ? [
        {
          path,
          message: 'is too easy to guess: it is a common password, your name or your e-mail address',
          code: 'guessable',
        },
      ]
    : []
}
