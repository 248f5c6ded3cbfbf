import { createHmac } from 'node:crypto'
import type { Context, HonoRequest } from 'hono'
import type { JSONParsed } from 'hono/utils/types'
import type { Caller, Guarded } from '../access/can.ts'
import { type PermissionName, permissionOf } from '../access/permissions.ts'
import type { Db } from '../db/client.ts'
import type { Written } from '../db/written.ts'
import { answerCreated } from '../http/etag.ts'
import { invalid, Problem } from '../http/problem.ts'
import { type Claim, claimKey, findAnswer, keepAnswer } from './queries.ts'

type Made<Row> = Written<Row, { id: string; etag: string }>

type Creation<Row> = {
  /** Where the records are: the new one's Location is below it. */
  at: string
  /** What a request has to have in common with the first to be the same. */
  request: Record<string, unknown>
  /** Makes the record and its row of the trail, by statements of `db` alone. */
  create: (db: Db) => Promise<Made<Row>>
  /** The permission to read the record, and how it is read; throws where the caller does not see it any more. */
  read: PermissionName
  see: (db: Db, caller: Caller, id: string) => Promise<unknown>
  /** The patient whose data the record is. */
  patientOf?: (record: JSONParsed<Row>) => string
}

/** The request's Idempotency-Key. @throws {Problem} 400 where it is not 1 to 255 visible ASCII characters */
function keyOf(req: HonoRequest): string | undefined {
  const key = req.header('Idempotency-Key')
  if (key === undefined || /^[!-~]{1,255}$/.test(key)) return key
  throw invalid('Idempotency-Key', 'must be 1 to 255 visible ASCII characters', 'invalid_format')
}

/** What the request's key stands for, where it brings one. An id in the path may be in upper case. @throws {Problem} 400 */
function claimOf(c: Context<Guarded>): Claim | undefined {
  const key = keyOf(c.req)
  return key === undefined
    ? undefined
    : { userId: c.get('caller').id, method: c.req.method, path: c.req.path.toLowerCase(), key }
}

/** Whether the request may be one that was answered already, which makes nothing. @throws {Problem} 400 on the key */
export async function isRepeated(c: Context<Guarded>): Promise<boolean> {
  const claim = claimOf(c)
  return claim !== undefined && (await findAnswer(c.env.db, claim)) !== undefined
}

/**
 * Answers a create: 201 with the record. Where the request brings an Idempotency-Key, its answer is kept in the
 * transaction that makes the record, and given again for a day to whoever sends the same request with the same key.
 * @throws {Problem} 400 on the key; 409 while the first request with it is under way, 422 where that was another one,
 * 404 where the caller does not see any more what it made
 */
export async function once<Row>(c: Context<Guarded>, creation: Creation<Row>) {
  const { at, create } = creation
  const claim = claimOf(c)
  if (claim === undefined) return answerCreated(c, at, await create(c.env.db))

  const [requestHash = '', ...earlier] = c.env.keys.requests.map((secret) =>
    createHmac('sha256', secret).update(JSON.stringify(creation.request)).digest('base64url'),
  )
  const { kept, made } = await c.env.db.transaction(async (tx) => {
    const kept = await claimKey(tx, claim)
    if (kept) return { kept }
    const made = await create(tx)
    await keepAnswer(tx, { ...claim, requestHash, resourceId: made.id, body: made.json, etag: made.etag })
    return { made }
  })
  if (!kept) return answerCreated(c, at, made)
  if (![requestHash, ...earlier].includes(kept.requestHash)) throw new Problem('idempotency-mismatch')
  return replay(c, creation, kept)
}

/** Answers as the first time, and leaves a row in the trail: the caller reads the record once more. */
async function replay<Row>(
  c: Context<Guarded>,
  { at, read, see, patientOf }: Creation<Row>,
  kept: { resourceId: string; body: string; etag: string },
) {
  const { id: userId, role, ip, userAgent, requestId } = c.get('caller')
  const { [role]: reach, audit: action = read } = permissionOf(read)
  if (!reach) throw new Problem('not-found')
  await see(c.env.db, { ...c.get('caller'), reach }, kept.resourceId)

  const made: Made<Row> = { id: kept.resourceId, json: kept.body, etag: kept.etag }
  const [resource = ''] = action.split('.')
  const subject = { resource, resourceId: kept.resourceId, patientId: patientOf?.(JSON.parse(kept.body)) }
  c.env.audit.add({ userId, role, ip, userAgent, requestId, action, ...subject, status: 201 })
  return answerCreated(c, at, made, { 'Idempotent-Replayed': 'true' })
}
