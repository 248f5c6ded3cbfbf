import { Buffer } from 'node:buffer'
import { timingSafeEqual } from 'node:crypto'
import simd from 'argon2id/dist/simd.wasm'
import setup from 'argon2id/lib/setup.js'
import { bearable, type PasswordHasher, parameters } from './passwords.ts'

type Computed = Awaited<ReturnType<typeof setup>>
const base64 = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64').replace(/=+$/, '')

/** argon2id in WebAssembly. It runs on the isolate's one thread, so there is never more than one hash at a time. */
export async function workerHasher(): Promise<PasswordHasher> {
  const load = async (imports: WebAssembly.Imports) => ({
    instance: await WebAssembly.instantiate(simd, imports),
    module: simd,
  })
  const argon2id: Computed = await setup(load, load)
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
      const { m, t, p } = parameters
      return `$argon2id$v=19$m=${m},t=${t},p=${p}$${base64(salt)}$${base64(compute(password, salt, m, t, p, 32))}`
    },
    async verify(phc, password) {
      if (!bearable(phc)) return false
      const [, , , costs = '', salt = '', tag = ''] = phc.split('$')
      const [m, t, p] = costs.split(',').map((cost) => Number(cost.slice(2)))
      if (!m || !t || !p) return false
      const expected = Buffer.from(tag, 'base64')
      return timingSafeEqual(compute(password, Buffer.from(salt, 'base64'), m, t, p, expected.length), expected)
    },
  }
}
