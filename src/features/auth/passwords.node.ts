import { hash, verify } from '@node-rs/argon2'
import { argon2Parameters, hasAcceptableCost, type PasswordHasher } from './passwords.ts'

/** argon2id on libuv's thread pool, by the native addon. */
export const nodePasswordHasher: PasswordHasher = {
  hash: (password) =>
    hash(password, { memoryCost: argon2Parameters.m, timeCost: argon2Parameters.t, parallelism: argon2Parameters.p }),
  verify: async (phc, password) => hasAcceptableCost(phc) && verify(phc, password),
}
