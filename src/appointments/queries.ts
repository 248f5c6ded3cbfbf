import { and, count, eq, gte, lt, sql } from 'drizzle-orm'
import type { z } from 'zod'
import type { Caller } from '../access/can.ts'
import { isDoctor } from '../access/doctor.ts'
import { seesPatient } from '../access/patient.ts'
import { permissionOf, type Reach } from '../access/permissions.ts'
import { listedAppointments, live, permitted, visible, visibleAppointment } from '../access/scope.ts'
import { signed, trail } from '../audit/record.ts'
import type { Db } from '../db/client.ts'
import { pages, preparedPage } from '../db/pages.ts'
import { prepared } from '../db/prepared.ts'
import { etagOf, matching, rowOf, update } from '../db/write.ts'
import { preparedJson } from '../db/written.ts'
import { doctors } from '../doctors/schema.ts'
import { isStale } from '../http/etag.ts'
import { type FieldError, invalid, Problem } from '../http/problem.ts'
import { newId } from '../id.ts'
import { patients } from '../patients/schema.ts'
import {
  type AppointmentPatch,
  type AppointmentQuery,
  appointments,
  type NewAppointment,
  shownAppointment,
  shownWithSides,
} from './schema.ts'

const { placeholder } = sql
const etag = etagOf(appointments, patients, doctors)
const ofPatient = eq(patients.id, appointments.patientId)
const ofDoctor = eq(doctors.id, appointments.doctorId)
type Scope = { reach: Reach }

const { id, patientId, doctorId, startsAt, endsAt, status, reason, notes } = shownAppointment
const written = { shown: shownWithSides, kept: { id, patientId, startsAt, endsAt, status, etag } }

/** The appointments that the caller sees. A deleted patient's are hidden; a deleted doctor's keep the doctor's name. */
const seen = ({ reach }: Scope) => and(live(patients), visibleAppointment(reach))

const oneAppointment = prepared((db: Db, scope: Scope) =>
  preparedJson(db, 'appointment', written, (fields) =>
    db
      .select(fields)
      .from(appointments)
      .innerJoin(patients, ofPatient)
      .innerJoin(doctors, ofDoctor)
      .where(and(eq(appointments.id, placeholder('id')), seen(scope))),
  ),
)

/** @throws {Problem} 404 */
export async function getAppointment(db: Db, caller: Caller, id: string) {
  const [row] = await oneAppointment(db, { reach: caller.reach }).execute({ me: caller.id, id })
  if (!row) throw new Problem('not-found')
  return row
}

type Filters = Scope & { patientId: boolean; doctorId: boolean; status: boolean; from: boolean; to: boolean }

const appointmentPages = pages({
  orders: { createdAt: { key: appointments.createdAt, type: 'timestamptz', id: appointments.id } },
  scope: ({ reach, patientId }: Filters, page) =>
    patientId ? visibleAppointment(reach) : listedAppointments(reach, page),
  where: (filters: Filters) =>
    and(
      live(patients),
      filters.patientId ? eq(appointments.patientId, placeholder('patientId')) : undefined,
      filters.doctorId ? eq(appointments.doctorId, placeholder('doctorId')) : undefined,
      filters.status ? eq(appointments.status, placeholder('status')) : undefined,
      filters.from ? gte(appointments.startsAt, sql`${placeholder('from')}::timestamptz`) : undefined,
      filters.to ? lt(appointments.startsAt, sql`${placeholder('to')}::timestamptz`) : undefined,
    ),
  // A day is few appointments and a decade is all of them: PostgreSQL plans for the dates that are asked for.
  page: (db, parts) =>
    preparedPage(
      db,
      parts.filters.from || parts.filters.to ? undefined : 'appointments',
      parts,
      { shown: shownWithSides, kept: { id, patientId } },
      (fields) => db.select(fields).from(appointments).innerJoin(patients, ofPatient).innerJoin(doctors, ofDoctor),
    ),
  count: (db, where) =>
    db
      .select({ count: count() })
      .from(appointments)
      .innerJoin(patients, ofPatient)
      .innerJoin(doctors, ofDoctor)
      .where(where)
      .prepare('appointments_count'),
})

type Query = Pick<z.output<typeof AppointmentQuery>, 'patientId' | 'doctorId' | 'status' | 'from' | 'to'>

/** The appointments that `query` asks for: `from` and `to` are about when they start. */
export function listAppointments(db: Db, caller: Caller, { patientId, doctorId, status, from, to }: Query) {
  const given = {
    patientId: patientId !== undefined,
    doctorId: doctorId !== undefined,
    status: status !== undefined,
    from: from !== undefined,
    to: to !== undefined,
  }
  return appointmentPages(
    db,
    { reach: caller.reach, ...given },
    { me: caller.id, patientId, doctorId, status, from, to },
  )
}

const told = { patientId, doctorId, startsAt, endsAt, status, reason, notes }
const about = { resource: 'appointment', fields: told, resourceId: appointments.id, patientId: appointments.patientId }

const booking = prepared((db: Db, { reach }: Scope) => {
  // Both sides are locked, always in this order: those who want the same time take turns, and meet the constraint one by one.
  const patient = db.$with('patient', {}).as(sql`select id from ${patients}
    where ${and(eq(patients.id, placeholder('patientId')), live(patients), visible(reach), permitted(reach))} for no key update`)
  const doctor = db.$with('doctor', {}).as(sql`select * from ${doctors}
    where ${and(eq(doctors.id, placeholder('doctorId')), live(doctors))} and exists (select from patient) for no key update`)
  const booked = db
    .$with('appointments', {})
    .as(sql`insert into ${appointments} (id, patient_id, doctor_id, starts_at, ends_at, status, reason, created_by)
    select ${placeholder('id')}::uuid, patient.id, doctor.id, ${placeholder('startsAt')}::timestamptz, ${placeholder('endsAt')}::timestamptz, 'scheduled', ${placeholder('reason')}, ${placeholder('me')}::uuid
    from patient, doctor
    where is_open(doctor.working_hours, doctor.time_zone, ${placeholder('startsAt')}::timestamptz, ${placeholder('endsAt')}::timestamptz) returning *`)
  const recording = trail(db, { ...about, changes: 'created', rows: sql`${appointments}` })
  return preparedJson(db, 'appointment_book', written, (fields) =>
    db
      .with(patient, doctor, booked, recording)
      .select(fields)
      .from(appointments)
      .innerJoin(patients, ofPatient)
      .innerJoin(doctors, ofDoctor),
  )
})

const minute = 60_000
/** What is wrong with an appointment of these times, whoever it is with. A new time may not have passed. */
function timesFault(startsAt: Date, endsAt: Date, past: boolean): Problem | undefined {
  const length = endsAt.getTime() - startsAt.getTime()
  if (length <= 0) return invalid('endsAt', 'must be after startsAt')
  if (length < 5 * minute || length > 480 * minute) return new Problem('duration')
  return past ? new Problem('in-the-past') : undefined
}

/**
 * Books a time of a doctor for a patient.
 * @throws {Problem} 400 on an unknown patient or doctor, 403 where the patient is not the caller's to book for, 409
 * `duration`, `in-the-past`, `outside-hours` or `overlap`
 */
export async function bookAppointment(db: Db, caller: Caller, values: z.output<typeof NewAppointment>) {
  const { reach } = caller
  const startsAt = new Date(values.startsAt)
  const fault = timesFault(startsAt, new Date(values.endsAt), startsAt.getTime() < Date.now())
  if (!fault) {
    const [booked] = await booking(db, { reach }).execute({ ...signed(caller, 201), ...values, id: newId() })
    if (booked) return booked
  }
  const [sight, doctor] = await Promise.all([seesPatient(db, caller, values.patientId), isDoctor(db, values.doctorId)])
  const errors: FieldError[] = []
  if (sight === 'unseen') errors.push({ path: 'patientId', message: 'is not a patient', code: 'unknown' })
  if (!doctor) errors.push({ path: 'doctorId', message: 'is not a doctor', code: 'unknown' })
  if (errors.length > 0) throw new Problem('bad-request', { errors })
  if (sight === 'seen') throw new Problem('forbidden')
  throw fault ?? new Problem('outside-hours')
}

/** `completing` is how far the permission to close an appointment or write its notes reaches, where that is asked for. */
type Change = Scope & { completing: Reach | null; moves: boolean; closes: boolean }

const changing = prepared((db: Db, { reach, completing, moves, closes }: Change) => {
  const [starts, ends] = [
    sql`coalesce(${placeholder('startsAt')}::timestamptz, starts_at)`,
    sql`coalesce(${placeholder('endsAt')}::timestamptz, ends_at)`,
  ]
  // Locks the patient and the doctor too, in the order in which a booking does.
  const before = db.$with('before', {}).as(sql`select ${appointments}.* from ${appointments}
    join ${patients} on ${ofPatient} join ${doctors} on ${ofDoctor}
    where ${and(
      eq(appointments.id, placeholder('id')),
      seen({ reach }),
      permitted(reach),
      completing ? permitted(completing) : undefined,
      matching(etag),
      eq(appointments.status, sql`'scheduled'`),
      moves ? sql`${ends} - ${starts} between interval '5 minutes' and interval '8 hours'` : undefined,
      moves ? sql`is_open(${doctors.workingHours}, ${doctors.timeZone}, ${starts}, ${ends})` : undefined,
      closes ? sql`starts_at <= now()` : undefined,
    )} for no key update`)
  const after = db.$with('appointments', {}).as(update(appointments))
  const recording = trail(db, { ...about, changes: 'changed', rows: sql`before, ${appointments}` })
  return preparedJson(db, 'appointment_change', written, (fields) =>
    db
      .with(before, after, recording)
      .select(fields)
      .from(appointments)
      .innerJoin(patients, ofPatient)
      .innerJoin(doctors, ofDoctor),
  )
})

const permittedAppointment = prepared((db: Db, { reach, completing }: Pick<Change, 'reach' | 'completing'>) =>
  db
    .select({
      permitted: sql<boolean>`${and(sql`true`, permitted(reach), completing ? permitted(completing) : undefined)}`,
    })
    .from(appointments)
    .innerJoin(patients, ofPatient)
    .innerJoin(doctors, ofDoctor)
    .where(and(eq(appointments.id, placeholder('id')), seen({ reach })))
    .prepare('appointment_permitted'),
)

type Values = z.output<typeof AppointmentPatch>

/**
 * Moves, closes or annotates an appointment that is still scheduled. The same status again changes nothing.
 * @throws {Problem} 404, 400 where it would end before it starts, 403, 412, 409 where it is closed, or of the new times
 */
export async function changeAppointment(db: Db, caller: Caller, id: string, values: Values) {
  const { reach } = caller
  const { status, ...rest } = values
  const closes = status === 'completed' || status === 'no_show'
  const completing =
    closes || values.notes !== undefined ? (permissionOf('appointments:complete')[caller.role] ?? 'none') : null
  const time = values.startsAt ?? values.endsAt
  const past = time !== undefined && new Date(time).getTime() < Date.now()
  const changes = Object.keys(rest).length > 0 || (status !== undefined && status !== 'scheduled')
  if (changes && !past && completing !== 'none') {
    const times = { startsAt: values.startsAt ?? null, endsAt: values.endsAt ?? null }
    const parameters = { ...signed(caller, 200), ...times, id, row: rowOf(appointments, values) }
    const [row] = await changing(db, { reach, completing, moves: time !== undefined, closes }).execute(parameters)
    if (row) return row
  }
  const current = await getAppointment(db, caller, id)
  if (completing === 'none') throw new Problem('forbidden')
  const [row] = await permittedAppointment(db, { reach, completing }).execute({ me: caller.id, id })
  if (!row?.permitted) throw new Problem('forbidden')
  if (isStale(caller.match, current.etag)) throw new Problem('precondition-failed')
  if (Object.keys(rest).length === 0 && (status ?? current.status) === current.status) return current
  throw refusal(current, values, past)
}

/** Why an appointment that the caller may change was not changed. */
function refusal(current: { status: string; startsAt: Date; endsAt: Date }, values: Values, past: boolean): Problem {
  if (current.status !== 'scheduled')
    return new Problem('conflict', { detail: `The appointment is ${current.status}: only a scheduled one changes.` })
  if (values.startsAt === undefined && values.endsAt === undefined)
    return new Problem('conflict', { detail: 'The appointment has not begun yet.' })
  const startsAt = values.startsAt ? new Date(values.startsAt) : current.startsAt
  const endsAt = values.endsAt ? new Date(values.endsAt) : current.endsAt
  return timesFault(startsAt, endsAt, past) ?? new Problem('outside-hours')
}
