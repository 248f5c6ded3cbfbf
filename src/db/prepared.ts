import type { Db } from './client.ts'

/**
 * A family of statements, one for each `shape` (which filters, which order, how far the caller sees), each built once
 * a pool and prepared by PostgreSQL once a connection. Building one takes Drizzle longer than running it takes
 * PostgreSQL. Shapes hold no values, so there are only so many of them.
 */
export function prepared<Shape extends Record<string, unknown>, Statement>(build: (db: Db, shape: Shape) => Statement) {
  const pools = new WeakMap<Db, Map<string, Statement>>()
  return (db: Db, shape: Shape): Statement => {
    const built = pools.get(db) ?? new Map<string, Statement>()
    pools.set(db, built)
    const key = JSON.stringify(shape)
    const statement = built.get(key) ?? build(db, shape)
    built.set(key, statement)
    return statement
  }
}
