import { createHmac } from 'node:crypto'
import type { Context, HonoRequest } from 'hono'
import type { JSONParsed } from 'hono/utils/types'
import { getPermission, type PermissionName } from '../access/permissions.ts'
import { toAuditActor } from '../audit/entry-cte.ts'
import type { DatabaseOrTransaction, GuardedEnv, RequestContext } from '../context.ts'
import type { JsonRow } from '../database/query/json-rows.ts'
import { respondWithCreated } from '../http/json-response.ts'
import { invalidFieldProblem, Problem } from '../http/problem.ts'
import { findSavedResponse, type IdempotencyKey, lockIdempotencyKey, saveResponse } from './queries.ts'

type CreatedRow<Row> = JsonRow<Row, { id: string; etag: string }>

type CreateOperation<Row> = {
  /** Where the records are: the new one's Location is below it. */
  location: string
  /** What a request has to have in common with the first to be the same. */
  requestFingerprint: Record<string, unknown>
  /** Makes the record and its row of the trail, by statements of `db` alone. */
  create: (db: DatabaseOrTransaction) => Promise<CreatedRow<Row>>
  /** The permission to read the record, and how it is read; throws where the caller does not see it any more. */
  readPermission: PermissionName
  assertVisible: (db: DatabaseOrTransaction, context: RequestContext, id: string) => Promise<unknown>
  /** The patient whose data the record is. */
  getPatientId?: (record: JSONParsed<Row>) => string
}

/** The request's Idempotency-Key. @throws {Problem} 400 where it is not 1 to 255 visible ASCII characters */
function parseKeyHeader(req: HonoRequest): string | undefined {
  const key = req.header('Idempotency-Key')
  if (key === undefined || /^[!-~]{1,255}$/.test(key)) return key
  throw invalidFieldProblem('Idempotency-Key', 'must be 1 to 255 visible ASCII characters', 'invalid_format')
}

/** What the request's key stands for, where it brings one. An id in the path may be in upper case. @throws {Problem} 400 */
function getIdempotencyKey(c: Context<GuardedEnv>): IdempotencyKey | undefined {
  const key = parseKeyHeader(c.req)
  return key === undefined
    ? undefined
    : { userId: c.get('requestContext').principal.id, method: c.req.method, path: c.req.path.toLowerCase(), key }
}

/** Whether the request may be one that was answered already, which makes nothing. @throws {Problem} 400 on the key */
export async function hasSavedResponse(c: Context<GuardedEnv>): Promise<boolean> {
  const idempotencyKey = getIdempotencyKey(c)
  return idempotencyKey !== undefined && (await findSavedResponse(c.env.db, idempotencyKey)) !== undefined
}

/**
 * Answers a create: 201 with the record. Where the request brings an Idempotency-Key, its answer is kept in the
 * transaction that makes the record, and given again for a day to whoever sends the same request with the same key.
 * @throws {Problem} 400 on the key; 409 while the first request with it is under way, 422 where that was another one,
 * 404 where the caller does not see any more what it made
 */
export async function withIdempotency<Row>(c: Context<GuardedEnv>, operation: CreateOperation<Row>) {
  const { location, create } = operation
  const idempotencyKey = getIdempotencyKey(c)
  if (idempotencyKey === undefined) return respondWithCreated(c, location, await create(c.env.db))

  const [requestHash = '', ...earlierHashes] = c.env.hmacKeys.requestHashKeys.map((secret) =>
    createHmac('sha256', secret).update(JSON.stringify(operation.requestFingerprint)).digest('base64url'),
  )
  const { saved, created } = await c.env.db.transaction(async (tx) => {
    const saved = await lockIdempotencyKey(tx, idempotencyKey)
    if (saved) return { saved }
    const created = await create(tx)
    await saveResponse(tx, {
      ...idempotencyKey,
      requestHash,
      resourceId: created.id,
      body: created.json,
      etag: created.etag,
    })
    return { created }
  })
  if (!saved) return respondWithCreated(c, location, created)
  if (![requestHash, ...earlierHashes].includes(saved.requestHash)) throw new Problem('idempotency-mismatch')
  return replayResponse(c, operation, saved)
}

/** Answers as the first time, and leaves a row in the trail: the caller reads the record once more. */
async function replayResponse<Row>(
  c: Context<GuardedEnv>,
  { location, readPermission, assertVisible, getPatientId }: CreateOperation<Row>,
  saved: { resourceId: string; body: string; etag: string },
) {
  const { principal, client } = c.get('requestContext')
  const { [principal.role]: scope, audit: action = readPermission } = getPermission(readPermission)
  if (!scope) throw new Problem('not-found')
  await assertVisible(c.env.db, { ...c.get('requestContext'), scope }, saved.resourceId)

  const created: CreatedRow<Row> = { id: saved.resourceId, json: saved.body, etag: saved.etag }
  const [resource = ''] = action.split('.')
  const subject = { resource, resourceId: saved.resourceId, patientId: getPatientId?.(JSON.parse(saved.body)) }
  c.env.auditWriter.enqueue({ ...toAuditActor(principal, client), action, ...subject, status: 201 })
  return respondWithCreated(c, location, created, { 'Idempotent-Replayed': 'true' })
}
