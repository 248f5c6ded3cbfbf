import { and, eq, getTableName, is, type SQL, sql, type WithSubquery } from 'drizzle-orm'
import { PgColumn, type PgTable } from 'drizzle-orm/pg-core'
import { countDailyUseCte, type DailyLimit, dailyUseWasCounted } from '../access/daily-limits.ts'
import type { DatabaseOrTransaction, RequestContext } from '../context.ts'
import type { IdColumn } from '../database/columns.ts'
import { preparedJsonQuery } from '../database/query/json-rows.ts'
import { preparedStatement } from '../database/query/prepared-statement.ts'
import { etagSql, ifMatchSql, insertSql, toRowJson, updateSql } from '../database/query/write-sql.ts'
import { auditEntryCte, auditParams } from './entry-cte.ts'

type ColumnMap = Record<string, PgColumn>

/** What is not told as a change: it is the row's own, or said by the trail itself. */
const unauditedColumns = new Set(['id', 'createdAt', 'updatedAt', 'createdBy'])

type AuditedTableOptions<Variant> = {
  resource: string
  /** The patient whose data a row is. */
  patientId?: PgColumn
  /** Which rows the caller may change: seen, reached and in the right state. */
  changeableRows: (shape: Variant) => SQL | undefined
  /** What the record's ETag is made of, where not of the row's version alone. */
  customEtag?: SQL<string>
  /** What else the change changes, as common table expressions over `before`. */
  extraCtes?: (db: DatabaseOrTransaction, shape: Variant) => WithSubquery[]
}

/**
 * How rows of `table` are inserted and changed: one statement each, which writes the trail too and answers with what
 * the API shows of the row and its ETag. The common table expression with the new row has the table's own name, so that the
 * table's columns mean the new row to what comes after it.
 */
export function auditedTable<
  JsonColumns extends Record<string, PgColumn | SQL>,
  Variant extends Record<string, unknown>,
>(
  table: PgTable & { id: IdColumn; version: PgColumn; deletedAt?: PgColumn },
  jsonColumns: JsonColumns,
  { resource, patientId, changeableRows, customEtag, extraCtes }: AuditedTableOptions<Variant>,
) {
  const tableName = getTableName(table)
  const fields = Object.entries(jsonColumns).flatMap(([key, column]) =>
    is(column, PgColumn) && !unauditedColumns.has(key) ? [[key, column] as const] : [],
  )
  const auditedColumns = { ...Object.fromEntries(fields), ...(table.deletedAt && { deletedAt: table.deletedAt }) }
  const auditOptions = { resource, auditedColumns, resourceId: table.id, patientId }
  const newRow = sql`${table}`
  const etag = customEtag ?? etagSql(table)
  const json = { jsonColumns, serverColumns: { id: table.id, etag } }

  const insertStatement = preparedStatement((db: DatabaseOrTransaction, { isLimited }: { isLimited: boolean }) => {
    const countUse = isLimited ? [countDailyUseCte(db, { candidate: sql`(select) as candidate`, bytes: sql`0` })] : []
    const after = db.$with(tableName, {}).as(insertSql(table, isLimited ? dailyUseWasCounted : undefined))
    const auditEntry = auditEntryCte(db, { ...auditOptions, from: newRow, change: 'created' })
    const parts = [...countUse, after, auditEntry]
    return preparedJsonQuery(db, 'insert', json, (fields) =>
      db
        .with(...parts)
        .select(fields)
        .from(table),
    )
  })
  const insertRow = async (
    db: DatabaseOrTransaction,
    context: RequestContext,
    values: Record<string, unknown>,
    limit?: DailyLimit,
  ) => {
    const parameters = { ...auditParams(context, 201), ...limit, row: toRowJson(table, values) }
    const [inserted] = await insertStatement(db, { isLimited: limit !== undefined }).execute(parameters)
    return inserted
  }
  const updateStatement = preparedStatement((db: DatabaseOrTransaction, variant: Variant) => {
    const rows = sql`select * from ${table} where ${and(eq(table.id, sql.placeholder('id')), changeableRows(variant), ifMatchSql(etag))} for no key update`
    const before = db.$with('before', {}).as(rows)
    const after = db.$with(tableName, {}).as(updateSql(table))
    const auditEntry = auditEntryCte(db, { ...auditOptions, from: sql`before, ${table}`, change: 'changed' })
    const parts = [before, after, auditEntry, ...(extraCtes?.(db, variant) ?? [])]
    return preparedJsonQuery(db, 'update', json, (fields) =>
      db
        .with(...parts)
        .select(fields)
        .from(table),
    )
  })
  return {
    /** The new row. `values` has every field of it but those that PostgreSQL fills in. */
    async insert(db: DatabaseOrTransaction, context: RequestContext, values: Record<string, unknown>) {
      const inserted = await insertRow(db, context, values)
      if (!inserted) throw new Error('an insert returned no row')
      return inserted
    },
    /** The new row, which counts as one use of `limit`, or undefined where that is reached. */
    insertWithinLimit: insertRow,
    /** The changed row, or undefined where `variant` lets the caller change none of this id. What `values` lacks stays. */
    async update(
      db: DatabaseOrTransaction,
      context: RequestContext,
      variant: Variant,
      id: string,
      values: Record<string, unknown>,
      status = 200,
    ) {
      const rows = await updateStatement(db, variant).execute({
        ...auditParams(context, status),
        id,
        row: toRowJson(table, values),
      })
      return rows[0]
    },
  }
}

type AuditedDeleteOptions<Variant> = {
  resource: string
  /** The columns that the trail tells of the row, by their names in the API. */
  auditedColumns: ColumnMap
  /** The table, joined with what `deletableRows` asks of. */
  from: SQL
  /** Which row the caller may delete: seen, reached, and the one of the parameter `id`. */
  deletableRows: (shape: Variant) => SQL | undefined
}

/**
 * How a row of `table`, which is about a patient, is deleted for good: one statement, which writes the trail too. What
 * it returns tells whether there was such a row.
 */
export function auditedDelete<Variant extends Record<string, unknown>>(
  table: PgTable & { id: PgColumn; patientId: PgColumn },
  { resource, auditedColumns, from, deletableRows }: AuditedDeleteOptions<Variant>,
) {
  const inBefore = (column: PgColumn) => sql<string>`before.${sql.identifier(column.name)}`
  const [id, patientId] = [inBefore(table.id), inBefore(table.patientId)]
  const deleteStatement = preparedStatement((db: DatabaseOrTransaction, variant: Variant) => {
    const rows = sql`select ${table}.* from ${from} where ${deletableRows(variant)} for update of ${table}`
    const before = db.$with('before', {}).as(rows)
    const deletedRows = db.$with('gone', {}).as(sql`delete from ${table} using before where ${table.id} = ${id}`)
    const auditEntry = auditEntryCte(db, {
      resource,
      auditedColumns,
      change: 'deleted',
      from: sql`before`,
      resourceId: id,
      patientId,
    })
    return db.with(before, deletedRows, auditEntry).select({ id }).from(sql`before`).prepare('delete')
  })
  return async (db: DatabaseOrTransaction, context: RequestContext, variant: Variant, id: string): Promise<boolean> => {
    const rows = await deleteStatement(db, variant).execute({ ...auditParams(context, 204), id })
    return rows.length > 0
  }
}
