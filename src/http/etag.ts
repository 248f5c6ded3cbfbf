import type { Context, HonoRequest } from 'hono'
import type { GuardedEnv } from '../context.ts'
import type { JsonRow } from '../database/query/json-rows.ts'
import type { IfMatch } from '../database/query/write-sql.ts'
import { respondWithJson } from './json-response.ts'

/**
 * The tags of an If-Match or If-None-Match header (RFC 9110, section 13.1), each as it was given out: a proxy that
 * compresses makes it weak (nginx) or appends `-gzip` (Apache). A tag of ours names a version, so a weak one says as much.
 */
const parseEntityTags = (header: string): string[] =>
  [...header.matchAll(/(?:^|,)\s*(?:W\/)?"([^"]*)"\s*(?=,|$)/g)].map(([, tag = '']) =>
    tag.replace(/-(gzip|br|zstd|deflate)$/, ''),
  )

/**
 * The request's If-Match as the parameter `ifMatch` of a statement: the tags as a text[] literal, or null where any will
 * do. The statement itself compares, so that nobody changes the record in between.
 */
export function parseIfMatch(req: HonoRequest): IfMatch {
  const header = req.header('If-Match')
  if (header === undefined || header.trim() === '*') return null
  return `{${parseEntityTags(header)
    .map((tag) => `"${tag.replace(/[\\"]/g, '\\$&')}"`)
    .join(',')}}`
}

/** Whether `ifMatch` names other versions of the record than the one that it is at. */
export const isStaleIfMatch = (ifMatch: IfMatch, etag: string): boolean =>
  ifMatch !== null && !ifMatch.includes(`"${etag}"`)

/** Whether an If-None-Match header names the tag: the client has it as it is. */
export const matchesIfNoneMatch = (header: string | undefined, etag: string): boolean =>
  header !== undefined && (header.trim() === '*' || parseEntityTags(header).includes(etag))

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
