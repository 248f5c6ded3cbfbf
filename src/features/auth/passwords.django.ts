import { Buffer } from 'node:buffer'
import { pbkdf2, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import type { PasswordHasher } from '../../context.ts'

const pbkdf2Async = promisify(pbkdf2)
/** `pbkdf2_sha256$<iterations>$<salt>$<base64 of 32 bytes>`, as Django's default hasher writes it. */
const djangoHashPattern = /^pbkdf2_sha256\$(\d{1,7})\$([^$]{1,128})\$([A-Za-z0-9+/]{43}=)$/

/**
 * Lets `hasher` verify Django's hashes too, so that accounts move over without a reset. It makes none: to
 * `needsRehash()` they are old, and the next sign-in replaces them.
 */
export const withDjangoHashes = (hasher: PasswordHasher): PasswordHasher => ({
  ...hasher,
  async verify(hash, password) {
    const [, iterations, salt, digest] = djangoHashPattern.exec(hash) ?? []
    if (!salt || !digest) return hasher.verify(hash, password)
    const expected = Buffer.from(digest, 'base64')
    return timingSafeEqual(await pbkdf2Async(password, salt, Number(iterations), expected.length, 'sha256'), expected)
  },
})
