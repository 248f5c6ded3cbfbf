import type { Context, TypedResponse } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import type { JSONParsed } from 'hono/utils/types'
import type { GuardedEnv } from '../context.ts'
import type { JsonRow, JsonText } from '../database/query/json-rows.ts'
import { matchesIfNoneMatch } from './etag.ts'

/**
 * Answers with JSON that is written already, typed as what it says. All headers of the answer are set in one step, which
 * on Node spares a `Headers` object that is filled, copied and emptied again.
 */
export function respondWithJson<Row, Status extends ContentfulStatusCode>(
  c: Context<GuardedEnv>,
  json: JsonText<Row>,
  status: Status,
  headers?: Record<string, string>,
): Response & TypedResponse<JSONParsed<Row>, Status, 'json'> {
  const response = new Response(json, {
    status,
    headers: { ...c.get('responseHeaders'), 'Content-Type': 'application/json', ...headers },
  })
  c.set('finishedResponse', response)
  // The type of a response's JSON exists for the compiler alone, as with Hono's own `c.json`.
  return response as Response & TypedResponse<JSONParsed<Row>, Status, 'json'>
}

/**
 * Answers a read with the record and its strong ETag, or with 304 where the client has it as it is. `patientId` is whose data
 * it is, for the audit log: null where it is no patient's.
 */
export function respondWithRecord<Row>(
  c: Context<GuardedEnv>,
  { id, etag, json }: JsonRow<Row, { id: string; etag: string }>,
  { patientId }: { patientId: string | null },
) {
  c.set('auditSubject', { resourceId: id, ...(patientId !== null && { patientId }) })
  const headers = { ETag: `"${etag}"` }
  if (matchesIfNoneMatch(c.req.header('If-None-Match'), etag)) return c.body(null, 304, headers)
  return respondWithJson(c, json, 200, headers)
}

/** Answers a change with the record as it is now, and its ETag. */
export const respondWithChanged = <Row>(c: Context<GuardedEnv>, { etag, json }: JsonRow<Row, { etag: string }>) =>
  respondWithJson(c, json, 200, { ETag: `"${etag}"` })

/** Answers a create: 201 with the record, where it is, and its ETag. */
export const respondWithCreated = <Row>(
  c: Context<GuardedEnv>,
  path: string,
  { id, etag, json }: JsonRow<Row, { id: string; etag: string }>,
  headers?: Record<string, string>,
) => respondWithJson(c, json, 201, { ETag: `"${etag}"`, Location: `${path}/${id}`, ...headers })
