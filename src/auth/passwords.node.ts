import { hash, verify } from '@node-rs/argon2'
import { bearable, type PasswordHasher, parameters } from './passwords.ts'

/** argon2id on libuv's thread pool, by the native addon. */
export const nodeHasher: PasswordHasher = {
  hash: (password) => hash(password, { memoryCost: parameters.m, timeCost: parameters.t, parallelism: parameters.p }),
  verify: async (phc, password) => bearable(phc) && verify(phc, password),
}
