import { Buffer } from 'node:buffer'
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Context } from 'hono'
import type { BaseContext, CursorPosition, GuardedEnv } from '../context.ts'
import type { JsonRow, JsonText } from '../database/query/json-rows.ts'
import type { KeysetList } from '../database/query/keyset-list.ts'
import { respondWithJson } from './json-response.ts'
import { invalidFieldProblem } from './problem.ts'

/** What a cursor is sealed with and for. */
type CursorContext = Pick<BaseContext, 'env' | 'req'>

type PageQuery<Sort extends string> = {
  limit: number
  count?: string | undefined
  sort?: Sort | `-${Sort}` | undefined
}

/** The list that a request is about: its path and filters, however they are ordered, whatever the page. */
const getListIdentity = (url: URL): string => {
  const filters = new URLSearchParams(url.search)
  for (const name of ['cursor', 'limit', 'count']) filters.delete(name)
  filters.sort()
  return `${url.pathname.replace(/\/$/, '')}?${filters}`
}

const sealLengthBytes = 16
/** Ties a place to one list of this installation: a cursor of another list, or a made-up one, is refused. */
const computeSeal = (c: CursorContext, positionText: string): Buffer =>
  createHmac('sha256', c.env.hmacKeys.cursorKey)
    .update(`${getListIdentity(new URL(c.req.url))}\n${positionText}`)
    .digest()
    .subarray(0, sealLengthBytes)

const sealCursor = (c: CursorContext, { id, key }: CursorPosition): string => {
  const positionText = `${id}\n${key}`
  return Buffer.concat([computeSeal(c, positionText), Buffer.from(positionText)]).toString('base64url')
}

/** @throws {Problem} 400 where the cursor was not given out for this very list */
export const unsealCursor = (c: CursorContext, cursor: string): CursorPosition => {
  const bytes = Buffer.from(cursor, 'base64url')
  const positionText = bytes.subarray(sealLengthBytes).toString()
  const canonical = bytes.toString('base64url') === cursor
  if (
    !canonical ||
    bytes.length <= sealLengthBytes ||
    !timingSafeEqual(bytes.subarray(0, sealLengthBytes), computeSeal(c, positionText))
  )
    throw invalidFieldProblem('cursor', 'is not a cursor of this list')
  const end = positionText.indexOf('\n')
  return { id: positionText.slice(0, end), key: positionText.slice(end + 1) }
}

/** One page as read: the rows it shows, and where the next begins. */
type FetchedPage<Row> = { rows: Row[]; next: string | null; count: number | undefined }

/** Reads the page of `list` that `query` asks for, newest first where it says no order. */
export async function fetchPage<Row extends { id: string; cursorKey: string }, Sort extends string>(
  c: Context<GuardedEnv>,
  query: PageQuery<Sort | 'createdAt'>,
  list: KeysetList<Row, Sort | 'createdAt'>,
): Promise<FetchedPage<Row>> {
  // `valid` has taken the query's cursor apart.
  const after = c.get('cursorPosition')
  const [rows, count] = await Promise.all([
    // One row more than is shown tells whether there is a next page.
    list.fetchRows({ limit: query.limit + 1, sort: query.sort ?? '-createdAt', after }),
    query.count === 'true' ? list.countRows() : undefined,
  ])
  const pageRows = rows.slice(0, query.limit)
  const last = rows.length > query.limit ? pageRows.at(-1) : undefined
  return { rows: pageRows, next: last ? buildNextPagePath(c, { id: last.id, key: last.cursorKey }) : null, count }
}

/** Answers with a page. `getPatientId` names the patient whose data a row shows, for the audit log: null where it shows none's, or the path names them. */
export function respondWithPage<Row, ServerValues>(
  c: Context<GuardedEnv>,
  { rows, next, count }: FetchedPage<JsonRow<Row, ServerValues>>,
  getPatientId: ((row: ServerValues) => string) | null,
) {
  if (getPatientId) c.set('auditSubject', { patientIds: [...new Set(rows.map(getPatientId))] })
  const results = rows.map(({ json }) => json).join(',')
  const countText = count === undefined ? '' : `,"count":${count}`
  const page: JsonText<{ results: Row[]; next: string | null; count?: number }> =
    `{"results":[${results}],"next":${JSON.stringify(next)}${countText}}`
  return respondWithJson(c, page, 200, next ? { Link: `<${next}>; rel="next"` } : {})
}

const buildNextPagePath = (c: CursorContext, position: CursorPosition): string => {
  const url = new URL(c.req.url)
  url.searchParams.set('cursor', sealCursor(c, position))
  return url.pathname.replace(/\/$/, '') + url.search
}
