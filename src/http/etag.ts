import type { Context, HonoRequest } from 'hono'
import type { Guarded } from '../access/can.ts'
import type { Written } from '../db/written.ts'
import { answerJson } from './answer.ts'

/**
 * The tags of an If-Match or If-None-Match header (RFC 9110, section 13.1), each as it was given out: a proxy that
 * compresses makes it weak (nginx) or appends `-gzip` (Apache). A tag of ours names a version, so a weak one says as much.
 */
const tagsOf = (header: string): string[] =>
  [...header.matchAll(/(?:^|,)\s*(?:W\/)?"([^"]*)"\s*(?=,|$)/g)].map(([, tag = '']) =>
    tag.replace(/-(gzip|br|zstd|deflate)$/, ''),
  )

/**
 * The request's If-Match as the parameter `match` of a statement: the tags as a text[] literal, or null where any will
 * do. The statement itself compares, so that nobody changes the record in between.
 */
export function matchOf(req: HonoRequest): string | null {
  const header = req.header('If-Match')
  if (header === undefined || header.trim() === '*') return null
  return `{${tagsOf(header)
    .map((tag) => `"${tag.replace(/[\\"]/g, '\\$&')}"`)
    .join(',')}}`
}

/** Whether `match` names other versions of the record than the one that it is at. */
export const isStale = (match: string | null, etag: string): boolean => match !== null && !match.includes(`"${etag}"`)

/** Whether an If-None-Match header names the tag: the client has it as it is. */
export const hasAlready = (header: string | undefined, etag: string): boolean =>
  header !== undefined && (header.trim() === '*' || tagsOf(header).includes(etag))

/** Answers a read with the record and its strong ETag, or with 304 where the client has it as it is. */
export function answerOne<Row>(c: Context<Guarded>, { etag, json }: Written<Row, { etag: string }>) {
  const headers = { ETag: `"${etag}"` }
  if (hasAlready(c.req.header('If-None-Match'), etag)) return c.body(null, 304, headers)
  return answerJson(c, json, 200, headers)
}

/** Answers a change with the record as it is now, and its ETag. */
export const answerChanged = <Row>(c: Context<Guarded>, { etag, json }: Written<Row, { etag: string }>) =>
  answerJson(c, json, 200, { ETag: `"${etag}"` })

/** Answers a create: 201 with the record, where it is, and its ETag. */
export const answerCreated = <Row>(
  c: Context<Guarded>,
  path: string,
  { id, etag, json }: Written<Row, { id: string; etag: string }>,
  headers?: Record<string, string>,
) => answerJson(c, json, 201, { ETag: `"${etag}"`, Location: `${path}/${id}`, ...headers })
