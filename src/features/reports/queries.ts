import { and, count, eq, sql } from 'drizzle-orm'
import {
  countDailyUseCte,
  dailyUseWasCounted,
  findDailyLimitProblem,
  getDailyLimit,
} from '../../access/daily-limits.ts'
import { assertPatientAccess } from '../../access/patient-access.ts'
import { canSeePatient, narrowToScope, notDeleted } from '../../access/visibility.ts'
import { auditedDelete } from '../../audit/audited-delete.ts'
import { auditEntryCte, auditParams } from '../../audit/entry-cte.ts'
import type { Config } from '../../config.ts'
import type { DatabaseOrTransaction, RequestContext } from '../../context.ts'
import { preparedJsonQuery } from '../../database/query/json-rows.ts'
import { defineKeysetList, preparedPageQuery } from '../../database/query/keyset-list.ts'
import { preparedStatement } from '../../database/query/prepared-statement.ts'
import { columnListSql, type IfMatch, ifMatchSql, toRowJson } from '../../database/query/write-sql.ts'
import { invalidFieldProblem, Problem } from '../../http/problem.ts'
import type { RowScope } from '../../roles.ts'
import { appointments } from '../appointments/schema.ts'
import { patients } from '../patients/schema.ts'
import { reportColumns, reports } from './schema.ts'

const { placeholder } = sql
type ReportVariant = { scope: RowScope }

/** The reports of patients that the caller sees. */
const reportIsVisible = ({ scope }: ReportVariant) => and(notDeleted(patients), canSeePatient(scope))
const patientOfReport = eq(patients.id, reports.patientId)
/** A report never changes: it is its own version. */
const reportEtag = sql<string>`${reports.id}::text`

const reportStatement = preparedStatement((db: DatabaseOrTransaction, variant: ReportVariant) =>
  preparedJsonQuery(
    db,
    'report',
    {
      jsonColumns: reportColumns,
      serverColumns: {
        ...reportColumns,
        etag: reportEtag,
        inScope: sql<boolean>`${narrowToScope(variant.scope) ?? sql`true`}`,
      },
    },
    (fields) =>
      db
        .select(fields)
        .from(reports)
        .innerJoin(patients, patientOfReport)
        .where(and(eq(reports.id, placeholder('id')), reportIsVisible(variant))),
  ),
)

/** @throws {Problem} 404 */
export async function getReport(db: DatabaseOrTransaction, context: RequestContext, id: string) {
  const [row] = await reportStatement(db, { scope: context.scope }).execute({ currentUserId: context.principal.id, id })
  if (!row) throw new Problem('not-found')
  return row
}

const reportList = defineKeysetList({
  orders: { createdAt: { key: reports.createdAt, type: 'timestamptz', id: reports.id } },
  where: (variant: ReportVariant) => and(eq(reports.patientId, placeholder('patientId')), reportIsVisible(variant)),
  preparePage: (db, parts) =>
    preparedPageQuery(
      db,
      'reports',
      parts,
      { jsonColumns: reportColumns, serverColumns: { id: reports.id } },
      (fields) => db.select(fields).from(reports).innerJoin(patients, patientOfReport),
    ),
  prepareCount: (db, where) =>
    db
      .select({ count: count() })
      .from(reports)
      .innerJoin(patients, patientOfReport)
      .where(where)
      .prepare('reports_count'),
})

/** The reports of a patient that the caller sees. */
export const listReports = (db: DatabaseOrTransaction, context: RequestContext, patientId: string) =>
  reportList(db, { scope: context.scope }, { currentUserId: context.principal.id, patientId })

const { patientId, appointmentId, title, kind, filename, contentType, size } = reportColumns
const auditedReportColumns = { patientId, appointmentId, title, kind, filename, contentType, size }
/** A report in the audit log. */
export const reportAuditOptions = {
  resource: 'report',
  auditedColumns: auditedReportColumns,
  resourceId: reports.id,
  patientId: reports.patientId,
}

const insertReportStatement = preparedStatement(
  (db: DatabaseOrTransaction, { scope, counted }: ReportVariant & { counted: boolean }) => {
    const columns = columnListSql(reports, (column) => !column.hasDefault)
    const candidate = db
      .$with('candidate', {})
      .as(sql`select made.* from json_populate_record(null::${reports}, ${placeholder('row')}::json) as made
      where exists (select from ${patients} where ${patients.id} = made.patient_id and ${reportIsVisible({ scope }) ?? sql`true`})
        and (made.appointment_id is null or exists (select from ${appointments}
          where ${appointments.id} = made.appointment_id and ${appointments.patientId} = made.patient_id))`)
    const counting = counted ? [countDailyUseCte(db, { candidate: sql`candidate`, bytes: sql`candidate.size` })] : []
    const newReport = db.$with('reports', {}).as(sql`insert into ${reports} (${columns})
    select ${columns} from candidate ${counted ? sql`where ${dailyUseWasCounted}` : undefined} returning *`)
    const auditEntry = auditEntryCte(db, { ...reportAuditOptions, change: 'created', from: sql`${reports}` })
    return preparedJsonQuery(
      db,
      'report_insert',
      { jsonColumns: reportColumns, serverColumns: { id: reports.id, etag: reportEtag } },
      (fields) =>
        db
          .with(candidate, ...counting, newReport, auditEntry)
          .select(fields)
          .from(reports),
    )
  },
)

type NewReportValues = Omit<typeof reports.$inferInsert, 'uploadedBy' | 'createdAt'>

/**
 * @throws {Problem} 404 where the patient is not seen, 429 where the caller has uploaded as much as they may in a day, 400
 * on an appointment that is not the patient's
 */
export async function createReport(
  db: DatabaseOrTransaction,
  config: Config,
  context: RequestContext,
  values: NewReportValues,
) {
  const row = toRowJson(reports, { ...values, uploadedBy: context.principal.id })
  const limit = getDailyLimit(config, context.principal.role, 'uploads')
  const variant = { scope: context.scope, counted: limit !== undefined }
  const [report] = await insertReportStatement(db, variant).execute({ ...auditParams(context, 201), ...limit, row })
  if (report) return report
  await assertPatientAccess(db, context, values.patientId)
  const refusal = limit && (await findDailyLimitProblem(db, config, context.principal.id, limit, values.size))
  throw refusal ?? invalidFieldProblem('appointmentId', 'is not an appointment of this patient', 'unknown')
}

/** The refusal of any file, before it arrives, where the caller has uploaded as much as they may in a day. */
export async function findUploadLimitProblem(
  db: DatabaseOrTransaction,
  config: Config,
  context: RequestContext,
): Promise<Problem | undefined> {
  const limit = getDailyLimit(config, context.principal.role, 'uploads')
  return limit && findDailyLimitProblem(db, config, context.principal.id, limit, 1)
}

const deleteReportStatement = preparedStatement((db: DatabaseOrTransaction, { scope }: ReportVariant) => {
  const isDeletable = and(reportIsVisible({ scope }), narrowToScope(scope), ifMatchSql(reportEtag))
  return auditedDelete(db, reports, {
    resource: 'report',
    auditedColumns: auditedReportColumns,
    before: sql`select ${reports}.* from ${reports} join ${patients} on ${patientOfReport}
      where ${and(eq(reports.id, placeholder('id')), isDeletable)} for update of ${reports}`,
  })
})

/** Deletes what is known of the file, and with that all that leads to it. @throws {Problem} 404, 403, 412 */
export async function deleteReport(
  db: DatabaseOrTransaction,
  context: RequestContext,
  id: string,
  ifMatch: IfMatch,
): Promise<void> {
  const parameters = { ...auditParams(context, 204), id, ifMatch }
  const deleted = await deleteReportStatement(db, { scope: context.scope }).execute(parameters)
  if (deleted.length > 0) return
  const report = await getReport(db, context, id)
  throw new Problem(report.inScope ? 'precondition-failed' : 'forbidden')
}
