import { type AnyColumn, and, asc, desc, is, Placeholder, type SQL, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { CursorPosition, DatabaseOrTransaction } from '../../context.ts'
import {
  type CompilableQuery,
  type NestedFields,
  preparedJsonQueryWithTexts,
  type SelectedFields,
} from './json-rows.ts'
import { preparedStatement } from './prepared-statement.ts'

/** Rows on a page at most. */
export const maxPageRows = 100

/** How a list can be ordered. `key` is never null; `type` is the PostgreSQL type that its text is read back as. */
export type SortOrder = { key: SQL | PgColumn; id: AnyColumn; type: 'text' | 'date' | 'timestamptz' | 'int' }

/** Which page: at most `limit` rows from behind `after`, by `sort`, which a leading `-` turns round. */
export type PageRequest<Sort extends string> = {
  limit: number
  sort: Sort | `-${Sort}`
  after: CursorPosition | undefined
}

/** A list of some filters, to be read a page at a time. */
export type KeysetList<Row, Sort extends string> = {
  fetchRows(page: PageRequest<Sort>): Promise<Row[]>
  countRows(): Promise<number>
}

/** Which rows a page may hold, and in which order: it is the first of them, as many as the parameter `limit` says. */
export type PageBounds = { where: SQL | undefined; orderBy: SQL[] }

/** What a page's statement is made with: `key` is what the rows are sorted by. */
type PageParts<Filters> = PageBounds & { filters: Filters; key: SortOrder['key'] }

/** What a page is read from: a selection that has not been told yet which rows, and how many. */
type PageSelection = {
  where(rows: SQL | undefined): {
    orderBy(...order: SQL[]): CompilableQuery & { limit(rows: Placeholder): CompilableQuery }
  }
}

/**
 * The first rows of all there are, as many as the parameter `limit` says. PostgreSQL plans a statement anew each time where
 * its only limit is a parameter, which takes it longer than reading a page: so it is told the most there may be as well.
 */
const addRowLimit = (sqlText: string, params: unknown[]) => ({
  // One more than a page tells whether there is another.
  sql: `select * from (${sqlText} limit ${maxPageRows + 1}) as page limit $${params.length + 1}`,
  params: [...params, sql.placeholder('limit')],
})

/** Whether nothing but the place of the page is a parameter. Of a filter's value it depends how its rows are best found. */
const hasNoFilterParams = (params: unknown[]) =>
  params.every((param) => is(param, Placeholder) && param.name.startsWith('place'))

/** Prepares a page of what `select` selects, as {@link preparedJsonQueryWithTexts} does, and of each row also its place in the order. */
export function preparedPageQuery<JsonColumns extends NestedFields, ServerColumns extends SelectedFields, Filters>(
  db: DatabaseOrTransaction,
  name: string | undefined,
  { where, orderBy, key }: PageParts<Filters>,
  { jsonColumns, serverColumns }: { jsonColumns: JsonColumns; serverColumns: ServerColumns },
  select: (fields: ServerColumns & JsonColumns) => PageSelection,
) {
  return preparedJsonQueryWithTexts(
    db,
    name,
    { jsonColumns, serverColumns, textColumns: { cursorKey: key } },
    (fields) => {
      const list = select(fields)
        .where(where)
        .orderBy(...orderBy)
      const { sql: text, params } = list.toSQL()
      return hasNoFilterParams(params)
        ? { toSQL: () => addRowLimit(text, params) }
        : list.limit(sql.placeholder('limit'))
    },
  )
}

type ExecutableStatement<Result> = { execute(parameters: Record<string, unknown>): Promise<Result> }

type KeysetListDefinition<Row, Sort extends string, Filters> = {
  orders: Record<Sort, SortOrder>
  /** The rows that the caller sees. `preparePage` tells which of them a page may hold; a count has none. */
  visibleRows?: (filters: Filters, page?: PageBounds) => SQL | undefined
  /** The rows that the filters leave. */
  where: (filters: Filters) => SQL | undefined
  preparePage: (db: DatabaseOrTransaction, parts: PageParts<Filters>) => ExecutableStatement<Row[]>
  prepareCount: (db: DatabaseOrTransaction, where: SQL | undefined) => ExecutableStatement<{ count: number }[]>
}

/**
 * A list by keyset: each page begins behind the last row of the one before, so that no page costs more than the first,
 * and rows that come and go make it neither skip nor repeat. Returns how to read it with the values of its filters.
 */
export function defineKeysetList<Row, Sort extends string, Filters extends Record<string, unknown>>(
  definition: KeysetListDefinition<Row, Sort, Filters>,
) {
  type PageVariant = { filters: Filters; sort: Sort; descending: boolean; isContinued: boolean }
  const pageStatement = preparedStatement(
    (db: DatabaseOrTransaction, { filters, sort, descending, isContinued }: PageVariant) => {
      const { key, id, type } = definition.orders[sort]
      const [direction, operator] = descending ? [desc, sql`<`] : [asc, sql`>`]
      const isBehindCursor = sql`(${key}, ${id}) ${operator} (${sql.placeholder('placeKey')}::${sql.raw(type)}, ${sql.placeholder('placeId')}::uuid)`
      const where = and(definition.where(filters), isContinued ? isBehindCursor : undefined)
      const orderBy = [direction(key), direction(id)]
      return definition.preparePage(db, {
        filters,
        where: and(where, definition.visibleRows?.(filters, { where, orderBy })),
        orderBy,
        key,
      })
    },
  )
  const countStatement = preparedStatement((db: DatabaseOrTransaction, filters: Filters) =>
    definition.prepareCount(db, and(definition.where(filters), definition.visibleRows?.(filters))),
  )

  return (db: DatabaseOrTransaction, filters: Filters, parameters: Record<string, unknown>): KeysetList<Row, Sort> => ({
    fetchRows({ limit, sort, after }) {
      const descending = sort.startsWith('-')
      const sortName = assertSort(definition.orders, descending ? sort.slice(1) : sort)
      return pageStatement(db, { filters, sort: sortName, descending, isContinued: after !== undefined }).execute({
        ...parameters,
        limit,
        placeKey: after?.key,
        placeId: after?.id,
      })
    },
    async countRows() {
      const [row] = await countStatement(db, filters).execute(parameters)
      return row?.count ?? 0
    },
  })
}

const assertSort = <Sort extends string>(orders: Record<Sort, SortOrder>, name: string): Sort => {
  for (const sort in orders) if (sort === name) return sort
  throw new Error('no such order')
}
