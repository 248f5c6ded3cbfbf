import { and, eq, inArray, isNull, sql } from 'drizzle-orm'
import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import { auditLog } from '../../audit/schema.ts'
import type { Database, DatabaseOrTransaction, FileStore } from '../../context.ts'
import { newId } from '../../database/id.ts'
import { columnListSql, toDatabaseNames } from '../../database/query/write-sql.ts'
import { appointments } from '../../features/appointments/schema.ts'
import { users } from '../../features/auth/schema.ts'
import { doctors } from '../../features/doctors/schema.ts'
import { mappings } from '../../features/mappings/schema.ts'
import { patients } from '../../features/patients/schema.ts'
import { reports } from '../../features/reports/schema.ts'
import { commandActor, createdChanges } from '../accounts.ts'
import { createDemoAppointments } from './appointments.ts'
import type { DemoDoctor, DemoPatient } from './people.ts'
import { createDemoReports } from './reports.ts'

/** A row of made-up data, by the names of its columns in the source. */
export type DemoRow = Record<string, unknown> & { id: string }

/** Inserts `rows` in one statement of one parameter. Returns the ids of those that were not there yet. */
async function insertNew(
  db: DatabaseOrTransaction,
  table: PgTable & { id: PgColumn },
  rows: DemoRow[],
): Promise<Set<string>> {
  const names = columnListSql(table)
  const json = JSON.stringify(rows.map((row) => toDatabaseNames(table, row)))
  const inserted = await db.execute<{ id: string }>(sql`insert into ${table} (${names})
    select ${names} from json_populate_recordset(null::${table}, ${json}::json) on conflict do nothing returning id`)
  return new Set(inserted.map(({ id }) => id))
}

type AuditedInsertOptions = {
  resource: 'doctor' | 'patient' | 'mapping' | 'appointment' | 'report'
  by: string
  patientId: (row: DemoRow) => unknown
}
const unauditedFields = new Set(['id', 'createdAt', 'updatedAt', 'createdBy', 'version'])

/** Inserts records and their rows of the trail, as if the administrator had made each. Tells how many were new. */
async function insertAudited(
  db: DatabaseOrTransaction,
  table: PgTable & { id: PgColumn },
  rows: DemoRow[],
  { resource, by, patientId }: AuditedInsertOptions,
) {
  const made = await insertNew(db, table, rows)
  const auditEntries = rows
    .filter(({ id }) => made.has(id))
    .map((row) => ({
      ...commandActor('db:seed'),
      id: newId(),
      at: new Date(),
      userId: by,
      role: 'admin',
      action: `${resource}.create`,
      resource,
      resourceId: row.id,
      patientId: patientId(row),
      changes: createdChanges(Object.fromEntries(Object.entries(row).filter(([field]) => !unauditedFields.has(field)))),
    }))
  await insertNew(db, auditLog, auditEntries)
  return made.size
}

const withFirstVersion = <T extends { createdAt: Date }>(record: T) => ({
  ...record,
  updatedAt: record.createdAt,
  version: 1,
})

/** Stores doctors that are not there yet. Tells how many were new, and which of them all are there now. */
export const storeDoctors = (db: Database, by: string, demo: DemoDoctor[]) =>
  db.transaction(async (tx) => {
    const made = await insertAudited(tx, doctors, demo.map(withFirstVersion), {
      resource: 'doctor',
      by,
      patientId: () => null,
    })
    const ids = demo.map(({ id }) => id)
    const there = await tx
      .select({ id: doctors.id })
      .from(doctors)
      .where(and(inArray(doctors.id, ids), isNull(doctors.deletedAt)))
      .orderBy(doctors.id)
    return { made, ids: there.map(({ id }) => id) }
  })

/** Each patient with each of their doctors once. */
function buildMappings(by: string, demo: DemoPatient[], doctorIds: string[]): DemoRow[] {
  const ofPatient = ({ id: patientId, createdAt, treatedBy }: DemoPatient) => {
    const chosen = new Set(treatedBy.map((place) => doctorIds[Math.floor(place * doctorIds.length)]))
    return [...chosen].map((doctorId) => ({ id: newId(), patientId, doctorId, createdBy: by, createdAt }))
  }
  return doctorIds.length === 0 ? [] : demo.flatMap(ofPatient)
}

/** Stores patients that are not there yet, added by the account `by`, and gives them their doctors. */
export const storePatients = (db: Database, by: string, demo: DemoPatient[], doctorIds: string[]) =>
  db.transaction(async (tx) => {
    const rows = demo.map(({ treatedBy, ...patient }) => ({ ...withFirstVersion(patient), createdBy: by }))
    const made = await insertAudited(tx, patients, rows, { resource: 'patient', by, patientId: ({ id }) => id })
    const mapped = await insertAudited(tx, mappings, buildMappings(by, demo, doctorIds), {
      resource: 'mapping',
      by,
      patientId: ({ patientId }) => patientId,
    })
    return { made, mapped }
  })

/** Stores the demo's appointments and reports; `files` is where the files of the reports go, if anywhere. Tells how many there are. */
export const storeVisits = (db: Database, by: string, doctorIds: string[], files: FileStore | undefined) =>
  db.transaction(async (tx) => {
    const ofPatient = ({ patientId }: DemoRow) => patientId
    const visits = await createDemoAppointments(tx, by, doctorIds)
    const booked = await insertAudited(tx, appointments, visits, { resource: 'appointment', by, patientId: ofPatient })
    const letters = files ? await createDemoReports(tx, files, by, doctorIds) : []
    const filed = await insertAudited(tx, reports, letters, { resource: 'report', by, patientId: ofPatient })
    return { booked, filed }
  })

/** The longest-standing administrator, in whose name the demo is made; `accounts` tells whether there is anyone. */
export async function findAdmin(db: DatabaseOrTransaction) {
  const [anyone] = await db.select({ id: users.id }).from(users).limit(1)
  const [admin] = await db
    .select({ id: users.id, email: users.email })
    .from(users)
    .where(and(eq(users.role, 'admin'), eq(users.active, true)))
    .orderBy(users.createdAt, users.id)
    .limit(1)
  return { admin, accounts: anyone !== undefined }
}
