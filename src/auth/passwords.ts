import pLimit from 'p-limit'
import type { Config } from '../config.ts'
import { type FieldError, Problem } from '../http/problem.ts'
import { commonPasswords } from './common-passwords.ts'

/** OWASP's parameters for argon2id: memory in KiB, passes, lanes. */
export const parameters = { m: 19_456, t: 2, p: 1 } as const

/** Makes and checks argon2id hashes in the PHC string format, which every runtime reads. */
export type PasswordHasher = {
  hash(password: string): Promise<string>
  verify(phc: string, password: string): Promise<boolean>
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

/** At most `hashes` at once and `waiting` behind them: a flood of sign-ins must starve nothing else. */
export function limited(hasher: PasswordHasher, hashes: number, waiting = 100): LimitedHasher {
  const limit = pLimit(hashes)
  const run = <T>(work: () => Promise<T>) => {
    if (limit.pendingCount >= waiting) throw new Problem('unavailable', { headers: { 'Retry-After': '1' } })
    return limit(work)
  }
  return {
    get waiting() {
      return limit.pendingCount
    },
    hash: async (password) => run(() => hasher.hash(password)),
    verify: async (hash, password) => run(() => hasher.verify(hash, password)),
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
