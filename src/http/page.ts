import { Buffer } from 'node:buffer'
import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Context } from 'hono'
import * as z from 'zod'
import type { Guarded } from '../access/can.ts'
import { largestPage, type Pages, type Place } from '../db/pages.ts'
import type { Json, Written } from '../db/written.ts'
import type { Asked } from '../env.ts'
import { answerJson } from './answer.ts'
import { invalid } from './problem.ts'

/** The query of a list: `filters`, what every list takes, and its `sorts`, which a leading `-` turns round. */
export const listQuery = <Filters extends z.ZodRawShape, const Sort extends string>(
  filters: Filters,
  sorts: readonly Sort[],
) =>
  z.strictObject({
    ...filters,
    limit: z
      .string()
      .regex(/^\d{1,3}$/, `must be a whole number from 1 to ${largestPage}`)
      .transform(Number)
      .pipe(z.int().min(1).max(largestPage))
      .default(50)
      .meta({ type: 'integer', pattern: undefined, minimum: 1, maximum: largestPage, default: 50 }),
    cursor: z.string().max(2000).optional().meta({ description: 'From the `next` of the page before.' }),
    count: z.enum(['true', 'false']).optional().meta({ description: 'Whether to count all that match.' }),
    sort: z
      .enum(sorts.flatMap((name): (Sort | `-${Sort}`)[] => [name, `-${name}`]))
      .optional()
      .meta({ description: 'A leading `-` turns the order round. Newest first where it is left out.' }),
  })

/** The query of a list in the one order there is: newest first. */
export const plainQuery = <Filters extends z.ZodRawShape>(filters: Filters) =>
  listQuery(filters, []).omit({ sort: true })

/** What a cursor is sealed with and for. */
type Sealed = Pick<Asked, 'env' | 'req'>

type Query<Sort extends string> = {
  limit: number
  count?: string | undefined
  sort?: Sort | `-${Sort}` | undefined
}

/** The list that a request is about: its path and filters, however they are ordered, whatever the page. */
const listOf = (url: URL): string => {
  const filters = new URLSearchParams(url.search)
  for (const name of ['cursor', 'limit', 'count']) filters.delete(name)
  filters.sort()
  return `${url.pathname.replace(/\/$/, '')}?${filters}`
}

const sealLength = 16
/** Ties a place to one list of this installation: a cursor of another list, or a made-up one, is refused. */
const seal = (c: Sealed, place: string): Buffer =>
  createHmac('sha256', c.env.keys.cursor)
    .update(`${listOf(new URL(c.req.url))}\n${place}`)
    .digest()
    .subarray(0, sealLength)

const cursorOf = (c: Sealed, { id, key }: Place): string => {
  const place = `${id}\n${key}`
  return Buffer.concat([seal(c, place), Buffer.from(place)]).toString('base64url')
}

/** @throws {Problem} 400 where the cursor was not given out for this very list */
export const placeOf = (c: Sealed, cursor: string): Place => {
  const bytes = Buffer.from(cursor, 'base64url')
  const place = bytes.subarray(sealLength).toString()
  const canonical = bytes.toString('base64url') === cursor
  if (!canonical || bytes.length <= sealLength || !timingSafeEqual(bytes.subarray(0, sealLength), seal(c, place)))
    throw invalid('cursor', 'is not a cursor of this list')
  const end = place.indexOf('\n')
  return { id: place.slice(0, end), key: place.slice(end + 1) }
}

/** One page as read: the rows it shows, and where the next begins. */
type Read<Row> = { rows: Row[]; next: string | null; count: number | undefined }

/** Reads the page of `list` that `query` asks for, newest first where it says no order. */
export async function readPage<Row extends { id: string; cursorKey: string }, Sort extends string>(
  c: Context<Guarded>,
  query: Query<Sort | 'createdAt'>,
  list: Pages<Row, Sort | 'createdAt'>,
): Promise<Read<Row>> {
  // `valid` has taken the query's cursor apart.
  const place = c.get('place')
  const [rows, count] = await Promise.all([
    // One row more than is shown tells whether there is a next page.
    list.read({ limit: query.limit + 1, sort: query.sort ?? '-createdAt', place }),
    query.count === 'true' ? list.count() : undefined,
  ])
  const shown = rows.slice(0, query.limit)
  const last = rows.length > query.limit ? shown.at(-1) : undefined
  return { rows: shown, next: last ? nextOf(c, { id: last.id, key: last.cursorKey }) : null, count }
}

/** Answers with a page. `patientOf` names the patient whose data a row shows, for the trail. */
export function answerPage<Row, Kept>(
  c: Context<Guarded>,
  { rows, next, count }: Read<Written<Row, Kept>>,
  patientOf?: (row: Kept) => string,
) {
  if (patientOf) c.set('subject', { patientIds: [...new Set(rows.map(patientOf))] })
  const results = rows.map(({ json }) => json).join(',')
  const counted = count === undefined ? '' : `,"count":${count}`
  const page: Json<{ results: Row[]; next: string | null; count?: number }> =
    `{"results":[${results}],"next":${JSON.stringify(next)}${counted}}`
  return answerJson(c, page, 200, next ? { Link: `<${next}>; rel="next"` } : {})
}

const nextOf = (c: Sealed, place: Place): string => {
  const url = new URL(c.req.url)
  url.searchParams.set('cursor', cursorOf(c, place))
  return url.pathname.replace(/\/$/, '') + url.search
}
