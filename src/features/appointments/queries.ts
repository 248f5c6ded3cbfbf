import { and, count, eq, gte, lt, sql } from 'drizzle-orm'
import type { z } from 'zod'
import { doctorExists } from '../../access/doctor-access.ts'
import { getPatientAccess } from '../../access/patient-access.ts'
import { getPermission } from '../../access/permissions.ts'
import {
  canSeeAppointment,
  canSeePatient,
  narrowToScope,
  notDeleted,
  visibleAppointmentIdIn,
} from '../../access/visibility.ts'
import { auditEntryCte, auditParams } from '../../audit/entry-cte.ts'
import type { DatabaseOrTransaction, RequestContext } from '../../context.ts'
import { newId } from '../../database/id.ts'
import { preparedJsonQuery } from '../../database/query/json-rows.ts'
import { defineKeysetList, preparedPageQuery } from '../../database/query/keyset-list.ts'
import { preparedStatement } from '../../database/query/prepared-statement.ts'
import { etagSql, type IfMatch, ifMatchSql, toRowJson, updateSql } from '../../database/query/write-sql.ts'
import { isStaleIfMatch } from '../../http/etag.ts'
import { type FieldError, invalidFieldProblem, Problem } from '../../http/problem.ts'
import type { RowScope } from '../../roles.ts'
import { doctors } from '../doctors/schema.ts'
import { patients } from '../patients/schema.ts'
import {
  type AppointmentPatch,
  type AppointmentQuery,
  appointmentColumns,
  appointmentJoinedColumns,
  appointments,
  type NewAppointment,
} from './schema.ts'

const { placeholder } = sql
const appointmentEtag = etagSql(appointments, patients, doctors)
const patientJoinCondition = eq(patients.id, appointments.patientId)
const doctorJoinCondition = eq(doctors.id, appointments.doctorId)
type AppointmentVariant = { scope: RowScope }

const { id, patientId, doctorId, startsAt, endsAt, status, reason, notes } = appointmentColumns
const appointmentJson = {
  jsonColumns: appointmentJoinedColumns,
  serverColumns: { id, patientId, startsAt, endsAt, status, etag: appointmentEtag },
}

/** The appointments that the caller sees. A deleted patient's are hidden; a deleted doctor's keep the doctor's name. */
const appointmentIsVisible = ({ scope }: AppointmentVariant) => and(notDeleted(patients), canSeeAppointment(scope))

const appointmentStatement = preparedStatement((db: DatabaseOrTransaction, variant: AppointmentVariant) =>
  preparedJsonQuery(db, 'appointment', appointmentJson, (fields) =>
    db
      .select(fields)
      .from(appointments)
      .innerJoin(patients, patientJoinCondition)
      .innerJoin(doctors, doctorJoinCondition)
      .where(and(eq(appointments.id, placeholder('id')), appointmentIsVisible(variant))),
  ),
)

/** @throws {Problem} 404 */
export async function getAppointment(db: DatabaseOrTransaction, context: RequestContext, id: string) {
  const [row] = await appointmentStatement(db, { scope: context.scope }).execute({
    currentUserId: context.principal.id,
    id,
  })
  if (!row) throw new Problem('not-found')
  return row
}

type AppointmentFilters = AppointmentVariant & {
  patientId: boolean
  doctorId: boolean
  status: boolean
  from: boolean
  to: boolean
}

const appointmentList = defineKeysetList({
  orders: { createdAt: { key: appointments.createdAt, type: 'timestamptz', id: appointments.id } },
  visibleRows: ({ scope, patientId }: AppointmentFilters, page) =>
    patientId ? canSeeAppointment(scope) : visibleAppointmentIdIn(scope, page),
  where: (filters: AppointmentFilters) =>
    and(
      notDeleted(patients),
      filters.patientId ? eq(appointments.patientId, placeholder('patientId')) : undefined,
      filters.doctorId ? eq(appointments.doctorId, placeholder('doctorId')) : undefined,
      filters.status ? eq(appointments.status, placeholder('status')) : undefined,
      filters.from ? gte(appointments.startsAt, sql`${placeholder('from')}::timestamptz`) : undefined,
      filters.to ? lt(appointments.startsAt, sql`${placeholder('to')}::timestamptz`) : undefined,
    ),
  // A day is few appointments and a decade is all of them: PostgreSQL plans for the dates that are asked for.
  preparePage: (db, parts) =>
    preparedPageQuery(
      db,
      parts.filters.from || parts.filters.to ? undefined : 'appointments',
      parts,
      { jsonColumns: appointmentJoinedColumns, serverColumns: { id, patientId } },
      (fields) =>
        db
          .select(fields)
          .from(appointments)
          .innerJoin(patients, patientJoinCondition)
          .innerJoin(doctors, doctorJoinCondition),
    ),
  prepareCount: (db, where) =>
    db
      .select({ count: count() })
      .from(appointments)
      .innerJoin(patients, patientJoinCondition)
      .innerJoin(doctors, doctorJoinCondition)
      .where(where)
      .prepare('appointments_count'),
})

type AppointmentListQuery = Pick<z.output<typeof AppointmentQuery>, 'patientId' | 'doctorId' | 'status' | 'from' | 'to'>

/** The appointments that `query` asks for: `from` and `to` are about when they start. */
export function listAppointments(
  db: DatabaseOrTransaction,
  context: RequestContext,
  { patientId, doctorId, status, from, to }: AppointmentListQuery,
) {
  const filters = {
    patientId: patientId !== undefined,
    doctorId: doctorId !== undefined,
    status: status !== undefined,
    from: from !== undefined,
    to: to !== undefined,
  }
  return appointmentList(
    db,
    { scope: context.scope, ...filters },
    { currentUserId: context.principal.id, patientId, doctorId, status, from, to },
  )
}

const auditedAppointmentColumns = { patientId, doctorId, startsAt, endsAt, status, reason, notes }
/** An appointment in the audit log. */
export const appointmentAuditOptions = {
  resource: 'appointment',
  auditedColumns: auditedAppointmentColumns,
  resourceId: appointments.id,
  patientId: appointments.patientId,
}

const bookAppointmentStatement = preparedStatement((db: DatabaseOrTransaction, { scope }: AppointmentVariant) => {
  // Both sides are locked, always in this order: those who want the same time take turns, and meet the constraint one by one.
  const patient = db.$with('patient', {}).as(sql`select id from ${patients}
    where ${and(eq(patients.id, placeholder('patientId')), notDeleted(patients), canSeePatient(scope), narrowToScope(scope))} for no key update`)
  const doctor = db.$with('doctor', {}).as(sql`select * from ${doctors}
    where ${and(eq(doctors.id, placeholder('doctorId')), notDeleted(doctors))} and exists (select from patient) for no key update`)
  const booked = db
    .$with('appointments', {})
    .as(sql`insert into ${appointments} (id, patient_id, doctor_id, starts_at, ends_at, status, reason, created_by)
    select ${placeholder('id')}::uuid, patient.id, doctor.id, ${placeholder('startsAt')}::timestamptz, ${placeholder('endsAt')}::timestamptz, 'scheduled', ${placeholder('reason')}, ${placeholder('currentUserId')}::uuid
    from patient, doctor
    where is_open(doctor.working_hours, doctor.time_zone, ${placeholder('startsAt')}::timestamptz, ${placeholder('endsAt')}::timestamptz) returning *`)
  const auditEntry = auditEntryCte(db, { ...appointmentAuditOptions, change: 'created', from: sql`${appointments}` })
  return preparedJsonQuery(db, 'appointment_book', appointmentJson, (fields) =>
    db
      .with(patient, doctor, booked, auditEntry)
      .select(fields)
      .from(appointments)
      .innerJoin(patients, patientJoinCondition)
      .innerJoin(doctors, doctorJoinCondition),
  )
})

const msPerMinute = 60_000
/** What is wrong with an appointment of these times, whoever it is with. A new time may not have passed. */
function findTimesProblem(startsAt: Date, endsAt: Date, isPast: boolean): Problem | undefined {
  const lengthMs = endsAt.getTime() - startsAt.getTime()
  if (lengthMs <= 0) return invalidFieldProblem('endsAt', 'must be after startsAt')
  if (lengthMs < 5 * msPerMinute || lengthMs > 480 * msPerMinute) return new Problem('duration')
  return isPast ? new Problem('in-the-past') : undefined
}

/**
 * Books a time of a doctor for a patient.
 * @throws {Problem} 400 on an unknown patient or doctor, 403 where the patient is not the caller's to book for, 409
 * `duration`, `in-the-past`, `outside-hours` or `overlap`
 */
export async function bookAppointment(
  db: DatabaseOrTransaction,
  context: RequestContext,
  values: z.output<typeof NewAppointment>,
) {
  const { scope } = context
  const startsAt = new Date(values.startsAt)
  const timesProblem = findTimesProblem(startsAt, new Date(values.endsAt), startsAt.getTime() < Date.now())
  if (!timesProblem) {
    const [booked] = await bookAppointmentStatement(db, { scope }).execute({
      ...auditParams(context, 201),
      ...values,
      id: newId(),
    })
    if (booked) return booked
  }
  const [patientAccess, isKnownDoctor] = await Promise.all([
    getPatientAccess(db, context, values.patientId),
    doctorExists(db, values.doctorId),
  ])
  const errors: FieldError[] = []
  if (patientAccess === 'notFound') errors.push({ path: 'patientId', message: 'is not a patient', code: 'unknown' })
  if (!isKnownDoctor) errors.push({ path: 'doctorId', message: 'is not a doctor', code: 'unknown' })
  if (errors.length > 0) throw new Problem('bad-request', { errors })
  if (patientAccess === 'outOfScope') throw new Problem('forbidden')
  throw timesProblem ?? new Problem('outside-hours')
}

/** `completionScope` is how far the permission to close an appointment or write its notes reaches, where that is asked for. */
type ChangeVariant = AppointmentVariant & { completionScope: RowScope | null; moves: boolean; closes: boolean }

const changeAppointmentStatement = preparedStatement(
  (db: DatabaseOrTransaction, { scope, completionScope, moves, closes }: ChangeVariant) => {
    const [starts, ends] = [
      sql`coalesce(${placeholder('startsAt')}::timestamptz, starts_at)`,
      sql`coalesce(${placeholder('endsAt')}::timestamptz, ends_at)`,
    ]
    // Locks the patient and the doctor too, in the order in which a booking does.
    const before = db.$with('before', {}).as(sql`select ${appointments}.* from ${appointments}
    join ${patients} on ${patientJoinCondition} join ${doctors} on ${doctorJoinCondition}
    where ${and(
      eq(appointments.id, placeholder('id')),
      appointmentIsVisible({ scope }),
      narrowToScope(scope),
      completionScope ? narrowToScope(completionScope) : undefined,
      ifMatchSql(appointmentEtag),
      eq(appointments.status, sql`'scheduled'`),
      moves ? sql`${ends} - ${starts} between interval '5 minutes' and interval '8 hours'` : undefined,
      moves ? sql`is_open(${doctors.workingHours}, ${doctors.timeZone}, ${starts}, ${ends})` : undefined,
      closes ? sql`starts_at <= now()` : undefined,
    )} for no key update`)
    const after = db.$with('appointments', {}).as(updateSql(appointments))
    const auditEntry = auditEntryCte(db, {
      ...appointmentAuditOptions,
      change: 'changed',
      from: sql`before, ${appointments}`,
    })
    return preparedJsonQuery(db, 'appointment_change', appointmentJson, (fields) =>
      db
        .with(before, after, auditEntry)
        .select(fields)
        .from(appointments)
        .innerJoin(patients, patientJoinCondition)
        .innerJoin(doctors, doctorJoinCondition),
    )
  },
)

const appointmentInScopeStatement = preparedStatement(
  (db: DatabaseOrTransaction, { scope, completionScope }: Pick<ChangeVariant, 'scope' | 'completionScope'>) =>
    db
      .select({
        inScope: sql<boolean>`${and(sql`true`, narrowToScope(scope), completionScope ? narrowToScope(completionScope) : undefined)}`,
      })
      .from(appointments)
      .innerJoin(patients, patientJoinCondition)
      .innerJoin(doctors, doctorJoinCondition)
      .where(and(eq(appointments.id, placeholder('id')), appointmentIsVisible({ scope })))
      .prepare('appointment_permitted'),
)

type AppointmentChanges = z.output<typeof AppointmentPatch>

/**
 * Moves, closes or annotates an appointment that is still scheduled. The same status again changes nothing.
 * @throws {Problem} 404, 400 where it would end before it starts, 403, 412, 409 where it is closed, or of the new times
 */
export async function changeAppointment(
  db: DatabaseOrTransaction,
  context: RequestContext,
  id: string,
  ifMatch: IfMatch,
  values: AppointmentChanges,
) {
  const { scope } = context
  const { status, ...rest } = values
  const closes = status === 'completed' || status === 'no_show'
  const completionScope =
    closes || values.notes !== undefined
      ? (getPermission('appointments:complete')[context.principal.role] ?? 'none')
      : null
  const newTime = values.startsAt ?? values.endsAt
  const isPast = newTime !== undefined && new Date(newTime).getTime() < Date.now()
  const hasChanges = Object.keys(rest).length > 0 || (status !== undefined && status !== 'scheduled')
  if (hasChanges && !isPast && completionScope !== 'none') {
    const times = { startsAt: values.startsAt ?? null, endsAt: values.endsAt ?? null }
    const parameters = { ...auditParams(context, 200), ...times, id, ifMatch, row: toRowJson(appointments, values) }
    const [row] = await changeAppointmentStatement(db, {
      scope,
      completionScope,
      moves: newTime !== undefined,
      closes,
    }).execute(parameters)
    if (row) return row
  }
  const current = await getAppointment(db, context, id)
  if (completionScope === 'none') throw new Problem('forbidden')
  const [row] = await appointmentInScopeStatement(db, { scope, completionScope }).execute({
    currentUserId: context.principal.id,
    id,
  })
  if (!row?.inScope) throw new Problem('forbidden')
  if (isStaleIfMatch(ifMatch, current.etag)) throw new Problem('precondition-failed')
  if (Object.keys(rest).length === 0 && (status ?? current.status) === current.status) return current
  throw findAppointmentChangeProblem(current, values, isPast)
}

/** Why an appointment that the caller may change was not changed. */
function findAppointmentChangeProblem(
  current: { status: string; startsAt: Date; endsAt: Date },
  values: AppointmentChanges,
  isPast: boolean,
): Problem {
  if (current.status !== 'scheduled')
    return new Problem('conflict', { detail: `The appointment is ${current.status}: only a scheduled one changes.` })
  if (values.startsAt === undefined && values.endsAt === undefined)
    return new Problem('conflict', { detail: 'The appointment has not begun yet.' })
  const startsAt = values.startsAt ? new Date(values.startsAt) : current.startsAt
  const endsAt = values.endsAt ? new Date(values.endsAt) : current.endsAt
  return findTimesProblem(startsAt, endsAt, isPast) ?? new Problem('outside-hours')
}
