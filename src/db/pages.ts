import { type AnyColumn, and, asc, desc, is, Placeholder, type SQL, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { Db } from './client.ts'
import { prepared } from './prepared.ts'
import { type Compiled, type Fields, type Nested, preparedJsonAndTexts } from './written.ts'

/** Rows on a page at most. */
export const largestPage = 100

/** How a list can be ordered. `key` is never null; `type` is the PostgreSQL type that its text is read back as. */
export type Order = { key: SQL | PgColumn; id: AnyColumn; type: 'text' | 'date' | 'timestamptz' | 'int' }

/** A row's place in the order of a list: the text of its sort key, and its id. */
export type Place = { key: string; id: string }

/** Which page: at most `limit` rows from behind `place`, by `sort`, which a leading `-` turns round. */
export type PageRequest<Sort extends string> = { limit: number; sort: Sort | `-${Sort}`; place: Place | undefined }

/** A list of some filters, to be read a page at a time. */
export type Pages<Row, Sort extends string> = {
  read(page: PageRequest<Sort>): Promise<Row[]>
  count(): Promise<number>
}

/** Which rows a page may hold, and in which order: it is the first of them, as many as the parameter `limit` says. */
export type Page = { where: SQL | undefined; orderBy: SQL[] }

/** What a page's statement is made with: `key` is what the rows are sorted by. */
type Parts<Filters> = Page & { filters: Filters; key: Order['key'] }

/** What a page is read from: a selection that has not been told yet which rows, and how many. */
type Selection = {
  where(rows: SQL | undefined): { orderBy(...order: SQL[]): Compiled & { limit(rows: Placeholder): Compiled } }
}

/**
 * The first rows of all there are, as many as the parameter `limit` says. PostgreSQL plans a statement anew each time where
 * its only limit is a parameter, which takes it longer than reading a page: so it is told the most there may be as well.
 */
const firstOf = (sqlText: string, params: unknown[]) => ({
  // One more than a page tells whether there is another.
  sql: `select * from (${sqlText} limit ${largestPage + 1}) as page limit $${params.length + 1}`,
  params: [...params, sql.placeholder('limit')],
})

/** Whether nothing but the place of the page is a parameter. Of a filter's value it depends how its rows are best found. */
const isOfAll = (params: unknown[]) => params.every((param) => is(param, Placeholder) && param.name.startsWith('place'))

/** Prepares a page of what `select` selects, as {@link preparedJsonAndTexts} does, and of each row also its place in the order. */
export function preparedPage<Shown extends Nested, Kept extends Fields, Filters>(
  db: Db,
  name: string | undefined,
  { where, orderBy, key }: Parts<Filters>,
  { shown, kept }: { shown: Shown; kept: Kept },
  select: (fields: Kept & Shown) => Selection,
) {
  return preparedJsonAndTexts(db, name, { shown, kept, texts: { cursorKey: key } }, (fields) => {
    const list = select(fields)
      .where(where)
      .orderBy(...orderBy)
    const { sql: text, params } = list.toSQL()
    return isOfAll(params) ? { toSQL: () => firstOf(text, params) } : list.limit(sql.placeholder('limit'))
  })
}

type Runs<Result> = { execute(parameters: Record<string, unknown>): Promise<Result> }

type Listing<Row, Sort extends string, Filters> = {
  orders: Record<Sort, Order>
  /** The rows that the caller sees. `page` tells which of them a page may hold; a count has none. */
  scope?: (filters: Filters, page?: Page) => SQL | undefined
  /** The rows that the filters leave. */
  where: (filters: Filters) => SQL | undefined
  page: (db: Db, parts: Parts<Filters>) => Runs<Row[]>
  count: (db: Db, where: SQL | undefined) => Runs<{ count: number }[]>
}

/**
 * A list by keyset: each page begins behind the last row of the one before, so that no page costs more than the first,
 * and rows that come and go make it neither skip nor repeat. Returns how to read it with the values of its filters.
 */
export function pages<Row, Sort extends string, Filters extends Record<string, unknown>>(
  listing: Listing<Row, Sort, Filters>,
) {
  type Shape = { filters: Filters; sort: Sort; descending: boolean; after: boolean }
  const pageOf = prepared((db: Db, { filters, sort, descending, after }: Shape) => {
    const { key, id, type } = listing.orders[sort]
    const [direction, beyond] = descending ? [desc, sql`<`] : [asc, sql`>`]
    const behind = sql`(${key}, ${id}) ${beyond} (${sql.placeholder('placeKey')}::${sql.raw(type)}, ${sql.placeholder('placeId')}::uuid)`
    const where = and(listing.where(filters), after ? behind : undefined)
    const orderBy = [direction(key), direction(id)]
    return listing.page(db, {
      filters,
      where: and(where, listing.scope?.(filters, { where, orderBy })),
      orderBy,
      key,
    })
  })
  const countOf = prepared((db: Db, filters: Filters) =>
    listing.count(db, and(listing.where(filters), listing.scope?.(filters))),
  )

  return (db: Db, filters: Filters, parameters: Record<string, unknown>): Pages<Row, Sort> => ({
    read({ limit, sort, place }) {
      const descending = sort.startsWith('-')
      const name = isSort(listing.orders, descending ? sort.slice(1) : sort)
      return pageOf(db, { filters, sort: name, descending, after: place !== undefined }).execute({
        ...parameters,
        limit,
        placeKey: place?.key,
        placeId: place?.id,
      })
    },
    async count() {
      const [row] = await countOf(db, filters).execute(parameters)
      return row?.count ?? 0
    },
  })
}

const isSort = <Sort extends string>(orders: Record<Sort, Order>, name: string): Sort => {
  for (const sort in orders) if (sort === name) return sort
  throw new Error('no such order')
}
