import { createHash, createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto'

/** As many as PostgreSQL takes. */
const iterationCount = 4096
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest()
const hmac = (key: Buffer, text: string) => createHmac('sha256', key).update(text).digest()

/** What a server keeps of a password (RFC 5802, section 3): neither it nor what a client proves itself with. */
export type ScramVerifier = { salt: Buffer; storedKey: Buffer; serverKey: Buffer }

/** Of a password of ASCII, which needs no SASLprep. */
export function createScramVerifier(password: string): ScramVerifier {
  const salt = randomBytes(16)
  const salted = pbkdf2Sync(password, salt, iterationCount, 32, 'sha256')
  return { salt, storedKey: sha256(hmac(salted, 'Client Key')), serverKey: hmac(salted, 'Server Key') }
}

/** The one SASL mechanism that is offered (RFC 7677). */
export const scramMechanism = 'SCRAM-SHA-256'

/** What the server says to a client's first message (RFC 5802, section 7), and how it checks the final one. */
export type ScramChallenge = {
  message: string
  /** The server's final message; undefined where the client does not know the password. */
  verify(clientFinal: string): string | undefined
}

/** Without channel binding: there is no TLS on the loopback. Undefined where the message is none. */
export function createScramChallenge(
  { salt, storedKey, serverKey }: ScramVerifier,
  clientFirst: string,
): ScramChallenge | undefined {
  const [, bare, clientNonce] = /^[ny],,(n=[^,]*,r=([\x21-\x2b\x2d-\x7e]+))$/.exec(clientFirst) ?? []
  if (bare === undefined || clientNonce === undefined) return undefined
  const nonce = clientNonce + randomBytes(18).toString('base64')
  const message = `r=${nonce},s=${salt.toString('base64')},i=${iterationCount}`
  return {
    message,
    verify(clientFinal) {
      const [, unproven, sentNonce, proof = ''] = /^(c=(?:biws|eSws),r=([^,]+)),p=([^,]+)$/.exec(clientFinal) ?? []
      const proved = Buffer.from(proof, 'base64')
      if (unproven === undefined || sentNonce !== nonce || proved.length !== storedKey.length) return undefined
      const messages = `${bare},${message},${unproven}`
      const signature = hmac(storedKey, messages)
      const clientKey = Buffer.from(proved.map((byte, index) => byte ^ (signature[index] ?? 0)))
      if (!timingSafeEqual(sha256(clientKey), storedKey)) return undefined
      return `v=${hmac(serverKey, messages).toString('base64')}`
    },
  }
}
