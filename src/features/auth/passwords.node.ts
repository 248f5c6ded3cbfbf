import { hash, verify } from '@node-rs/argon2'
import type { PasswordHasher } from '../../context.ts'
import { argon2Parameters, hasAcceptableCost } from './passwords.ts'

/** argon2id on libuv's thread pool, by the native addon. */
export const nodePasswordHasher: PasswordHasher = {
  hash: (password) =>
    hash(password, { memoryCost: argon2Parameters.m, timeCost: argon2Parameters.t, parallelism: argon2Parameters.p }),
  verify: async (phc, password) => hasAcceptableCost(phc) && verify(phc, password),
}
