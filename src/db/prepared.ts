import { is } from 'drizzle-orm'
import { drizzle, PostgresJsSession } from 'drizzle-orm/postgres-js'
import { LRUCache } from 'lru-cache'
import type { Db } from './client.ts'

/** The part of the driver's client that takes a statement and gives its rows as lists. */
export type Client = {
  unsafe(text: string, parameters?: unknown[], options?: { prepare: boolean }): { values(): PromiseLike<unknown[][]> }
}

/** What Drizzle itself sends the statements of `db` to. */
export function clientOf({ _: { session } }: Db): Client {
  if (is(session, PostgresJsSession)) return session.client
  throw new Error('not a database of postgres.js')
}

/** Builds statements, and sends them nowhere. */
const builder: Db = drizzle.mock()

/** So many shapes of a family are kept: a list with many filters has more, and nobody uses them all but to fill memory. */
const maxShapes = 500

/**
 * A family of statements, one for each `shape` (which filters, which order, how far the caller sees), each built once,
 * bound to each pool or transaction that it is sent to, and prepared by PostgreSQL once a connection. Building one takes
 * Drizzle longer than running it takes PostgreSQL. Shapes hold no values.
 */
export function prepared<Shape extends Record<string, unknown>, Statement extends object>(
  build: (db: Db, shape: Shape) => Statement,
) {
  const built = new LRUCache<string, Statement>({ max: maxShapes })
  const bound = new WeakMap<Db, LRUCache<string, Statement>>()
  const bind = (db: Db, shape: Shape, key: string): Statement => {
    const statement = built.get(key) ?? build(builder, shape)
    built.set(key, statement)
    // Drizzle's statements and those of `written.ts` are sent to their `client`.
    return Object.create(statement, { client: { value: clientOf(db) } })
  }
  return (db: Db, shape: Shape): Statement => {
    const ofDb = bound.get(db) ?? new LRUCache<string, Statement>({ max: maxShapes })
    bound.set(db, ofDb)
    const key = JSON.stringify(shape)
    const statement = ofDb.get(key) ?? bind(db, shape, key)
    ofDb.set(key, statement)
    return statement
  }
}
