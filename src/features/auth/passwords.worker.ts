import { Buffer } from 'node:buffer'
import { timingSafeEqual } from 'node:crypto'
import simd from 'argon2id/dist/simd.wasm'
import setup from 'argon2id/lib/setup.js'
import type { PasswordHasher } from '../../context.ts'
import { argon2Parameters, hasAcceptableCost } from './passwords.ts'

type Argon2id = Awaited<ReturnType<typeof setup>>
const toUnpaddedBase64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64').replace(/=+$/, '')

/** argon2id in WebAssembly. It runs on the isolate's one thread, so there is never more than one hash at a time. */
export async function createWorkerPasswordHasher(): Promise<PasswordHasher> {
  const load = async (imports: WebAssembly.Imports) => ({
    instance: await WebAssembly.instantiate(simd, imports),
    module: simd,
  })
  const argon2id: Argon2id = await setup(load, load)
  const compute = (password: string, salt: Uint8Array, m: number, t: number, p: number, tagLength: number) =>
    argon2id({
      password: new TextEncoder().encode(password),
      salt,
      memorySize: m,
      passes: t,
      parallelism: p,
      tagLength,
    })
  return {
    async hash(password) {
      const salt = crypto.getRandomValues(new Uint8Array(16))
      const { m, t, p } = argon2Parameters
      return `$argon2id$v=19$m=${m},t=${t},p=${p}$${toUnpaddedBase64(salt)}$${toUnpaddedBase64(compute(password, salt, m, t, p, 32))}`
    },
    async verify(phc, password) {
      if (!hasAcceptableCost(phc)) return false
      const [, , , costs = '', salt = '', tag = ''] = phc.split('$')
      const [m, t, p] = costs.split(',').map((cost) => Number(cost.slice(2)))
      if (!m || !t || !p) return false
      const expected = Buffer.from(tag, 'base64')
      return timingSafeEqual(compute(password, Buffer.from(salt, 'base64'), m, t, p, expected.length), expected)
    },
  }
}
