import { and, eq, getTableName, is, type SQL, sql, type WithSubquery } from 'drizzle-orm'
import { PgColumn, type PgTable } from 'drizzle-orm/pg-core'
import type { Caller } from '../access/can.ts'
import { countUse, type DailyLimit, isCountedUse } from '../access/daily-limits.ts'
import type { Db } from '../db/client.ts'
import type { IdColumn } from '../db/columns.ts'
import { prepared } from '../db/prepared.ts'
import { etagOf, insertInto, matching, rowOf, update } from '../db/write.ts'
import { preparedJson } from '../db/written.ts'
import { signed, trail } from './record.ts'

type Columns = Record<string, PgColumn>

/** What is not told as a change: it is the row's own, or said by the trail itself. */
const untold = new Set(['id', 'createdAt', 'updatedAt', 'createdBy'])

type Recorded<Shape> = {
  resource: string
  /** The patient whose data a row is. */
  patientId?: PgColumn
  /** Which rows the caller may change: seen, reached and in the right state. */
  changeable: (shape: Shape) => SQL | undefined
  /** What the record's ETag is made of, where not of the row's version alone. */
  version?: SQL<string>
  /** What else the change changes, as common table expressions over `before`. */
  beside?: (db: Db, shape: Shape) => WithSubquery[]
}

/**
 * How rows of `table` are inserted and changed: one statement each, which writes the trail too and answers with what
 * the API shows of the row and its ETag. The common table expression with the new row has the table's own name, so that the
 * table's columns mean the new row to what comes after it.
 */
export function recorded<Shown extends Record<string, PgColumn | SQL>, Shape extends Record<string, unknown>>(
  table: PgTable & { id: IdColumn; version: PgColumn; deletedAt?: PgColumn },
  shown: Shown,
  { resource, patientId, changeable, version, beside }: Recorded<Shape>,
) {
  const name = getTableName(table)
  const fields = Object.entries(shown).flatMap(([key, column]) =>
    is(column, PgColumn) && !untold.has(key) ? [[key, column] as const] : [],
  )
  const told = { ...Object.fromEntries(fields), ...(table.deletedAt && { deletedAt: table.deletedAt }) }
  const about = { resource, fields: told, resourceId: table.id, patientId }
  const row = sql`${table}`
  const etag = version ?? etagOf(table)
  const written = { shown, kept: { id: table.id, etag } }

  const inserting = prepared((db: Db, { counted }: { counted: boolean }) => {
    const counting = counted ? [countUse(db, { candidate: sql`(select) as candidate`, bytes: sql`0` })] : []
    const after = db.$with(name, {}).as(insertInto(table, counted ? isCountedUse : undefined))
    const recording = trail(db, { ...about, rows: row, changes: 'created' })
    const parts = [...counting, after, recording]
    return preparedJson(db, 'insert', written, (selected) =>
      db
        .with(...parts)
        .select(selected)
        .from(table),
    )
  })
  const insert = async (db: Db, caller: Caller, values: Record<string, unknown>, limit?: DailyLimit) => {
    const parameters = { ...signed(caller, 201), ...limit, row: rowOf(table, values) }
    const [inserted] = await inserting(db, { counted: limit !== undefined }).execute(parameters)
    return inserted
  }
  const updating = prepared((db: Db, shape: Shape) => {
    const rows = sql`select * from ${table} where ${and(eq(table.id, sql.placeholder('id')), changeable(shape), matching(etag))} for no key update`
    const before = db.$with('before', {}).as(rows)
    const after = db.$with(name, {}).as(update(table))
    const recording = trail(db, { ...about, rows: sql`before, ${table}`, changes: 'changed' })
    const parts = [before, after, recording, ...(beside?.(db, shape) ?? [])]
    return preparedJson(db, 'update', written, (selected) =>
      db
        .with(...parts)
        .select(selected)
        .from(table),
    )
  })
  return {
    /** The new row. `values` has every field of it but those that PostgreSQL fills in. */
    async insert(db: Db, caller: Caller, values: Record<string, unknown>) {
      const inserted = await insert(db, caller, values)
      if (!inserted) throw new Error('an insert returned no row')
      return inserted
    },
    /** The new row, which counts as one use of `limit`, or undefined where that is reached. */
    insertWithin: insert,
    /** The changed row, or undefined where `shape` lets the caller change none of this id. What `values` lacks stays. */
    async update(db: Db, caller: Caller, shape: Shape, id: string, values: Record<string, unknown>, status = 200) {
      const rows = await updating(db, shape).execute({ ...signed(caller, status), id, row: rowOf(table, values) })
      return rows[0]
    },
  }
}

type Removed<Shape> = {
  resource: string
  /** The columns that the trail tells of the row, by their names in the API. */
  fields: Columns
  /** The table, joined with what `deletable` asks of. */
  from: SQL
  /** Which row the caller may delete: seen, reached, and the one of the parameter `id`. */
  deletable: (shape: Shape) => SQL | undefined
}

/**
 * How a row of `table`, which is about a patient, is deleted for good: one statement, which writes the trail too. What
 * it returns tells whether there was such a row.
 */
export function removing<Shape extends Record<string, unknown>>(
  table: PgTable & { id: PgColumn; patientId: PgColumn },
  { resource, fields, from, deletable }: Removed<Shape>,
) {
  const inBefore = (column: PgColumn) => sql<string>`before.${sql.identifier(column.name)}`
  const [id, patientId] = [inBefore(table.id), inBefore(table.patientId)]
  const deleting = prepared((db: Db, shape: Shape) => {
    const rows = sql`select ${table}.* from ${from} where ${deletable(shape)} for update of ${table}`
    const before = db.$with('before', {}).as(rows)
    const gone = db.$with('gone', {}).as(sql`delete from ${table} using before where ${table.id} = ${id}`)
    const recording = trail(db, { resource, fields, changes: 'deleted', rows: sql`before`, resourceId: id, patientId })
    return db.with(before, gone, recording).select({ id }).from(sql`before`).prepare('delete')
  })
  return async (db: Db, caller: Caller, shape: Shape, ofId: string): Promise<boolean> => {
    const rows = await deleting(db, shape).execute({ ...signed(caller, 204), id: ofId })
    return rows.length > 0
  }
}
