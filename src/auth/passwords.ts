import pLimit from 'p-limit'
import type { Config } from '../config.ts'
import { type FieldError, Problem } from '../http/problem.ts'
import { commonPasswords } from './common-passwords.ts'

/** OWASP's parameters for argon2id: memory in KiB, passes, lanes. */
export const parameters = { m: 19_456, t: 2, p: 1 } as const

/** Makes and checks argon2id hashes in the PHC string format, which every runtime reads. */
export type PasswordHasher = {
  hash(password: string): Promise<string>
  /** Where the check has to wait for others, `recheck` is called when its turn comes: what it throws is thrown, unchecked. */
  verify(phc: string, password: string, recheck?: () => Promise<void>): Promise<boolean>
}

const phc = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,2})\$[A-Za-z0-9+/]{11,86}\$[A-Za-z0-9+/]{16,86}$/

const parametersOf = (hash: string) => {
  const [, m, t, p] = phc.exec(hash) ?? []
  return { m: Number(m), t: Number(t), p: Number(p) }
}

/** Whether `hash` is an argon2id hash that may be computed here: one with huge parameters would take the process down. */
export const bearable = (hash: string): boolean => {
  const { m, t, p } = parametersOf(hash)
  return m <= 65_536 && t <= 10 && p <= 4
}

/** Whether `hash` was made with other parameters than today's. */
export const outdated = (hash: string): boolean => {
  const { m, t, p } = parametersOf(hash)
  return m !== parameters.m || t !== parameters.t || p !== parameters.p
}

/** Hashes of no password: checked where there is no account, so that it takes as long as where there is one. */
export const decoy = '$argon2id$v=19$m=19456,t=2,p=1$TGgYpC90Sk/XFVwavEK+uQ$1d+JMEkKU6ISylFvwlBT6zOjOMlQRRzLQEvyFunWuI4'

/** A hasher that says how many passwords wait for it. */
export type LimitedHasher = PasswordHasher & { readonly waiting: number }

/** How many passwords may wait to be hashed, and how long each, in ms. */
const waitingAtMost = 1000
const waitAtMostMs = 15_000

export const tooManyWait = () =>
  new Problem('unavailable', {
    detail: 'Too many passwords wait to be checked. Try again in a moment.',
    headers: { 'Retry-After': '5' },
  })

/**
 * At most `hashes` at once and so many behind them, none longer than so long: a flood of sign-ins must starve nothing else.
 * @throws {Problem} 503 where too many wait, or one has waited too long
 */
export function limited(
  hasher: PasswordHasher,
  hashes: number,
  waiting = waitingAtMost,
  waitMs = waitAtMostMs,
): LimitedHasher {
  const limit = pLimit(hashes)
  const run = <T>(work: () => Promise<T>, recheck?: () => Promise<void>) => {
    if (limit.pendingCount >= waiting) throw tooManyWait()
    const latest = performance.now() + waitMs
    const waits = limit.activeCount + limit.pendingCount >= hashes
    return limit(async () => {
      if (performance.now() > latest) throw tooManyWait()
      if (waits) await recheck?.()
      return work()
    })
  }
  return {
    get waiting() {
      return limit.pendingCount
    },
    hash: async (password) => run(() => hasher.hash(password)),
    verify: async (hash, password, recheck) => run(() => hasher.verify(hash, password), recheck),
  }
}

/** Why `password` may not be the password of an account of this name and address; empty where it may. */
export function passwordFaults(
  config: Config,
  path: string,
  password: string,
  account: { name: string; email: string },
): FieldError[] {
  const min = config.PASSWORD_MIN_LENGTH
  if ([...password].length < min)
    return [{ path, message: `must be at least ${min} characters long`, code: 'too_small' }]
  const folded = password.toLowerCase()
  const guessable =
    commonPasswords.has(folded) || [account.email, account.name].some((value) => value.toLowerCase() === folded)
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
