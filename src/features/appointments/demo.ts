import { sql } from 'drizzle-orm'
import { insertAudited } from '../../cli/demo/insert-audited.ts'
import type { DatabaseOrTransaction } from '../../context.ts'
import { newId } from '../../database/id.ts'
import { appointmentAuditOptions } from './queries.ts'
import { appointments } from './schema.ts'

/** What people come for. */
const visitReasons = [
  'Check-up',
  'Follow-up',
  'Cough',
  'Headache',
  'Back pain',
  'Test results',
  'Vaccination',
  'Rash',
  'Prescription',
]

type DemoSlot = {
  patientId: string
  doctorId: string
  startsAt: string
  endsAt: string
  isOver: boolean
  place: number
}

/** Days before and after today that have appointments, and how often each patient sees each of their doctors in them. */
const spanDays = 28
const visitsPerDoctor = 3

/**
 * For each of these doctors who has none yet, as many times as their patients are to come: first one on each day that they
 * work, from today outwards, then a second, and so on; which of a day's is left to chance, the same each time.
 */
const findDemoSlots = (db: Pick<DatabaseOrTransaction, 'execute'>, doctorIds: string[]) =>
  db.execute<DemoSlot>(sql`
    with asked as (
      select * from doctors where id = any(${`{${doctorIds.join(',')}}`}::uuid[])
        and not exists (select from appointments where appointments.doctor_id = doctors.id)
    ), wanted as (
      select patient_id, doctor_id, row_number() over (partition by doctor_id order by visit, mappings.id) as place
      from mappings join asked on asked.id = doctor_id cross join generate_series(1, ${visitsPerDoctor}::int) as visit
    ), offered as (
      select id as doctor_id, slot, (lower(slot) at time zone time_zone)::date as day, md5(id::text || slot::text) as chance
      from asked cross join open_slots(working_hours, time_zone, current_date - ${spanDays}::int, current_date + ${spanDays}::int, 30)
    ), ranked as (
      select *, row_number() over (partition by doctor_id, day order by chance) as of_day from offered
    ), placed as (
      select *, row_number() over (partition by doctor_id order by of_day, abs(day - current_date), day) as place from ranked
    )
    select patient_id as "patientId", doctor_id as "doctorId", lower(slot) as "startsAt", upper(slot) as "endsAt",
      lower(slot) <= now() as "isOver", place::int
    from wanted join placed using (doctor_id, place)`)

/**
 * Books appointments of the last four weeks, today and the next four, as a clinic has them. Two of one patient at once are left
 * to the database to refuse. Tells how many there are.
 */
export async function insertDemoAppointments(db: DatabaseOrTransaction, by: string, doctorIds: string[]) {
  const now = new Date()
  const statusOf = ({ isOver, place }: DemoSlot) => {
    if (!isOver) return 'scheduled'
    return place % 10 === 0 ? 'no_show' : place % 7 === 0 ? 'cancelled' : 'completed'
  }
  const times = await findDemoSlots(db, doctorIds)
  const rows = times.map((time) => {
    const { isOver: _, place, ...between } = time
    const status = statusOf(time)
    return {
      ...between,
      id: newId(),
      status,
      reason: visitReasons[place % visitReasons.length] ?? null,
      notes: status === 'completed' ? 'Seen; come again if it does not get better.' : null,
      createdBy: by,
      createdAt: now,
      updatedAt: now,
      version: 1,
    }
  })
  return insertAudited(db, appointments, rows, by, appointmentAuditOptions)
}
