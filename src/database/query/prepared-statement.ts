import { is } from 'drizzle-orm'
import { drizzle, PostgresJsSession } from 'drizzle-orm/postgres-js'
import type { DatabaseOrTransaction } from '../../context.ts'

/** The part of the driver's client that takes a statement and gives its rows as lists. */
export type DriverClient = {
  unsafe(text: string, parameters?: unknown[], options?: { prepare: boolean }): { values(): PromiseLike<unknown[][]> }
}

/** What Drizzle itself sends the statements of `db` to. */
export function getDriverClient({ _: { session } }: DatabaseOrTransaction): DriverClient {
  if (is(session, PostgresJsSession)) return session.client
  throw new Error('not a database of postgres.js')
}

/** Builds statements, and sends them nowhere. */
const statementBuilder: DatabaseOrTransaction = drizzle.mock()

/**
 * So many variants of a family are kept, then all are built anew: a list with many filters has more, and nobody uses them all
 * but to fill memory. Not by a cache, which would cost each request and each transaction.
 */
const maxVariants = 500

/**
 * A family of statements, one for each `variant` (which filters, which order, how far the caller sees), each built once,
 * bound to each pool or transaction that it is sent to, and prepared by PostgreSQL once a connection. Building one takes
 * Drizzle longer than running it takes PostgreSQL. Variants hold no values.
 */
export function preparedStatement<Variant extends Record<string, unknown>, Statement extends object>(
  build: (db: DatabaseOrTransaction, variant: Variant) => Statement,
) {
  const builtStatements = new Map<string, Statement>()
  const boundStatements = new WeakMap<DatabaseOrTransaction, Map<string, Statement>>()
  const bindStatement = (db: DatabaseOrTransaction, variant: Variant, key: string): Statement => {
    const statement = builtStatements.get(key) ?? build(statementBuilder, variant)
    if (builtStatements.size >= maxVariants) builtStatements.clear()
    builtStatements.set(key, statement)
    // Drizzle's statements and those of `json-rows.ts` are sent to their `client`.
    return Object.create(statement, { client: { value: getDriverClient(db) } })
  }
  return (db: DatabaseOrTransaction, variant: Variant): Statement => {
    const statementsOfDb = boundStatements.get(db) ?? new Map<string, Statement>()
    boundStatements.set(db, statementsOfDb)
    const key = JSON.stringify(variant)
    const known = statementsOfDb.get(key)
    if (known) return known
    if (statementsOfDb.size >= maxVariants) statementsOfDb.clear()
    const statement = bindStatement(db, variant, key)
    statementsOfDb.set(key, statement)
    return statement
  }
}
