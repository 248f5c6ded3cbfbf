import type { HonoRequest } from 'hono'
import type { IfMatch } from '../database/query/write-sql.ts'

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
