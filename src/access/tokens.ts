import { createHash, createHmac } from 'node:crypto'
import { sign, verify } from 'hono/jwt'
import * as z from 'zod'
import type { Config } from '../config.ts'
import type { HmacKeys, TokenClaims } from '../context.ts'
import { newId } from '../database/id.ts'

const TokenClaimsSchema = z.object({
  iss: z.string(),
  aud: z.string(),
  sub: z.uuid(),
  sid: z.uuid(),
  jti: z.string(),
  typ: z.enum(['access', 'refresh']),
  iat: z.int(),
  nbf: z.int().optional(),
  exp: z.int(),
})

/** Imports the secrets once, so that no request pays for it. */
export async function importHmacKeys(config: Config): Promise<HmacKeys> {
  const secrets = [config.JWT_SECRET, config.JWT_SECRET_PREVIOUS].filter((secret) => secret !== undefined)
  const keys = await Promise.all(
    secrets.map((secret) =>
      crypto.subtle.importKey('raw', new TextEncoder().encode(secret), { name: 'HMAC', hash: 'SHA-256' }, false, [
        'sign',
        'verify',
      ]),
    ),
  )
  const [first] = keys
  if (!first) throw new Error('no secret to sign with')
  const deriveKey = (secret: string, use: string) => createHmac('sha256', secret).update(use).digest()
  return {
    signingKey: first,
    verifyingKeys: keys,
    cursorKey: deriveKey(config.JWT_SECRET, 'cursor'),
    requestHashKeys: secrets.map((secret) => deriveKey(secret, 'request')),
  }
}

/** What a token pair says of its session, as it is stored. */
export type TokenSession = { id: string; userId: string; generation: number; rotatedAt: Date; expiresAt: Date }
/** What a sign-in is answered with (RFC 6749, section 5.1); `expiresIn` in seconds. */
export type TokenPair = { access: string; refresh: string; tokenType: 'Bearer'; expiresIn: number }

const toEpochSeconds = (time: Date | number) => Math.floor(Number(time) / 1000)

/**
 * A fresh access token, and the one refresh token of the session's generation: asked twice, it is the same one.
 * `expiresIn` is in seconds.
 */
export async function createTokenPair(config: Config, keys: HmacKeys, session: TokenSession): Promise<TokenPair> {
  const commonClaims = { iss: config.JWT_ISSUER, aud: config.JWT_AUDIENCE, sub: session.userId, sid: session.id }
  const nowSeconds = toEpochSeconds(Date.now())
  const sessionEndSeconds = toEpochSeconds(session.expiresAt)
  const expiresIn = Math.min(config.ACCESS_TOKEN_LIFETIME_MIN * 60, sessionEndSeconds - nowSeconds)
  const rotatedSeconds = toEpochSeconds(session.rotatedAt)
  const refreshEndSeconds = Math.min(rotatedSeconds + config.REFRESH_TOKEN_LIFETIME_DAYS * 86_400, sessionEndSeconds)
  const [access, refresh] = await Promise.all([
    sign(
      { ...commonClaims, jti: newId(), typ: 'access', iat: nowSeconds, exp: nowSeconds + expiresIn },
      keys.signingKey,
      'HS256',
    ),
    sign(
      {
        ...commonClaims,
        jti: `${session.id}.${session.generation}`,
        typ: 'refresh',
        iat: rotatedSeconds,
        exp: refreshEndSeconds,
      },
      keys.signingKey,
      'HS256',
    ),
  ])
  return { access, refresh, tokenType: 'Bearer', expiresIn }
}

/** The number in a refresh token's `jti`. */
export const getGeneration = (claims: TokenClaims) => Number(claims.jti.slice(claims.sid.length + 1))

/** Three parts, the last a 256-bit signature in the one base64url form it has (RFC 4648, section 3.5). */
const tokenPattern = /^[\w-]+\.[\w-]+\.[\w-]{42}[AEIMQUYcgkosw048]$/
/** Seconds by which another machine's clock may be ahead. Never granted to `exp`. */
const clockLeewaySeconds = 60

/** The claims of `token` where it is one of ours, of this `typ` and still good; undefined otherwise, whatever it is. */
export async function verifyToken(
  config: Config,
  keys: HmacKeys,
  token: string,
  typ: TokenClaims['typ'],
): Promise<TokenClaims | undefined> {
  if (token.length > 2000 || !tokenPattern.test(token)) return undefined
  const expected = { alg: 'HS256', iss: config.JWT_ISSUER, aud: config.JWT_AUDIENCE, iat: false, nbf: false } as const
  for (const key of keys.verifyingKeys) {
    const payload = await verify(token, key, expected).catch(() => undefined)
    const { data: claims } = TokenClaimsSchema.safeParse(payload)
    const latest = toEpochSeconds(Date.now()) + clockLeewaySeconds
    if (claims?.typ === typ && claims.iat <= latest && (claims.nbf ?? 0) <= latest) return claims
  }
  return undefined
}

/** What is kept of a token: it cannot be turned back into one. */
export const hashToken = (token: string): string => createHash('sha256').update(token).digest('base64url')
