import { and, count, eq, sql } from 'drizzle-orm'
import type { Caller } from '../access/can.ts'
import { countUse, dailyLimit, isCountedUse, refusalOfUse } from '../access/daily-limits.ts'
import { needPatient } from '../access/patient.ts'
import type { Reach } from '../access/permissions.ts'
import { live, permitted, visible } from '../access/scope.ts'
import { appointments } from '../appointments/schema.ts'
import { removing } from '../audit/change.ts'
import { signed, trail } from '../audit/record.ts'
import type { Config } from '../config.ts'
import type { Db } from '../db/client.ts'
import { pages, preparedPage } from '../db/pages.ts'
import { prepared } from '../db/prepared.ts'
import { matching, namesOf, rowOf } from '../db/write.ts'
import { preparedJson } from '../db/written.ts'
import { invalid, Problem } from '../http/problem.ts'
import { patients } from '../patients/schema.ts'
import { reports, shownReport } from './schema.ts'

const { placeholder } = sql
type Scope = { reach: Reach }

/** The reports of patients that the caller sees. */
const seen = ({ reach }: Scope) => and(live(patients), visible(reach))
const ofPatient = eq(patients.id, reports.patientId)
/** A report never changes: it is its own version. */
const etag = sql<string>`${reports.id}::text`

const oneReport = prepared((db: Db, scope: Scope) =>
  preparedJson(
    db,
    'report',
    {
      shown: shownReport,
      kept: { ...shownReport, etag, permitted: sql<boolean>`${permitted(scope.reach) ?? sql`true`}` },
    },
    (fields) =>
      db
        .select(fields)
        .from(reports)
        .innerJoin(patients, ofPatient)
        .where(and(eq(reports.id, placeholder('id')), seen(scope))),
  ),
)

/** @throws {Problem} 404 */
export async function getReport(db: Db, caller: Caller, id: string) {
  const [row] = await oneReport(db, { reach: caller.reach }).execute({ me: caller.id, id })
  if (!row) throw new Problem('not-found')
  return row
}

const reportPages = pages({
  orders: { createdAt: { key: reports.createdAt, type: 'timestamptz', id: reports.id } },
  where: (scope: Scope) => and(eq(reports.patientId, placeholder('patientId')), seen(scope)),
  page: (db, parts) =>
    preparedPage(db, 'reports', parts, { shown: shownReport, kept: { id: reports.id } }, (fields) =>
      db.select(fields).from(reports).innerJoin(patients, ofPatient),
    ),
  count: (db, where) =>
    db.select({ count: count() }).from(reports).innerJoin(patients, ofPatient).where(where).prepare('reports_count'),
})

/** The reports of a patient that the caller sees. */
export const listReports = (db: Db, caller: Caller, patientId: string) =>
  reportPages(db, { reach: caller.reach }, { me: caller.id, patientId })

const { patientId, appointmentId, title, kind, filename, contentType, size } = shownReport
const told = { patientId, appointmentId, title, kind, filename, contentType, size }

const inserting = prepared((db: Db, { reach, counted }: Scope & { counted: boolean }) => {
  const columns = namesOf(reports, (column) => !column.hasDefault)
  const candidate = db
    .$with('candidate', {})
    .as(sql`select made.* from json_populate_record(null::${reports}, ${placeholder('row')}::json) as made
      where exists (select from ${patients} where ${patients.id} = made.patient_id and ${seen({ reach }) ?? sql`true`})
        and (made.appointment_id is null or exists (select from ${appointments}
          where ${appointments.id} = made.appointment_id and ${appointments.patientId} = made.patient_id))`)
  const counting = counted ? [countUse(db, { candidate: sql`candidate`, bytes: sql`candidate.size` })] : []
  const made = db.$with('reports', {}).as(sql`insert into ${reports} (${columns})
    select ${columns} from candidate ${counted ? sql`where ${isCountedUse}` : undefined} returning *`)
  const recording = trail(db, {
    resource: 'report',
    fields: told,
    changes: 'created',
    rows: sql`${reports}`,
    resourceId: reports.id,
    patientId: reports.patientId,
  })
  return preparedJson(db, 'report_insert', { shown: shownReport, kept: { id: reports.id, etag } }, (fields) =>
    db
      .with(candidate, ...counting, made, recording)
      .select(fields)
      .from(reports),
  )
})

type Values = Omit<typeof reports.$inferInsert, 'uploadedBy' | 'createdAt'>

/**
 * @throws {Problem} 404 where the patient is not seen, 429 where the caller has uploaded as much as they may in a day, 400
 * on an appointment that is not the patient's
 */
export async function createReport(db: Db, config: Config, caller: Caller, values: Values) {
  const row = rowOf(reports, { ...values, uploadedBy: caller.id })
  const limit = dailyLimit(config, caller.role, 'uploads')
  const shape = { reach: caller.reach, counted: limit !== undefined }
  const [report] = await inserting(db, shape).execute({ ...signed(caller, 201), ...limit, row })
  if (report) return report
  await needPatient(db, caller, values.patientId)
  const refusal = limit && (await refusalOfUse(db, config, caller.id, limit, values.size))
  throw refusal ?? invalid('appointmentId', 'is not an appointment of this patient', 'unknown')
}

/** The refusal of any file, before it arrives, where the caller has uploaded as much as they may in a day. */
export async function refusalOfUpload(db: Db, config: Config, caller: Caller): Promise<Problem | undefined> {
  const limit = dailyLimit(config, caller.role, 'uploads')
  return limit && refusalOfUse(db, config, caller.id, limit, 1)
}

const remove = removing(reports, {
  resource: 'report',
  fields: told,
  from: sql`${reports} join ${patients} on ${ofPatient}`,
  deletable: ({ reach }: Scope) =>
    and(eq(reports.id, placeholder('id')), seen({ reach }), permitted(reach), matching(etag)),
})

/** Deletes what is known of the file, and with that all that leads to it. @throws {Problem} 404, 403, 412 */
export async function deleteReport(db: Db, caller: Caller, id: string): Promise<void> {
  if (await remove(db, caller, { reach: caller.reach }, id)) return
  const report = await getReport(db, caller, id)
  throw new Problem(report.permitted ? 'precondition-failed' : 'forbidden')
}
