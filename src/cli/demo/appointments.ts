import { sql } from 'drizzle-orm'
import type { Db } from '../../db/client.ts'
import { newId } from '../../id.ts'
import { reasons } from './words.ts'

type Time = { patientId: string; doctorId: string; startsAt: string; endsAt: string; place: number }

/** For each of these doctors who has none yet: a time for each of their patients, of those that they work on these days. */
const timesOf = (db: Pick<Db, 'execute'>, doctorIds: string[], { from, to }: { from: number; to: number }) =>
  db.execute<Time>(sql`
    with wanted as (
      select patient_id, doctor_id, row_number() over (partition by doctor_id order by id) as place
      from mappings where doctor_id = any(${`{${doctorIds.join(',')}}`}::uuid[])
        and not exists (select from appointments where appointments.doctor_id = mappings.doctor_id)
    ), offered as (
      select id as doctor_id, slot, row_number() over (partition by id order by slot) as place
      from doctors cross join open_slots(working_hours, time_zone, current_date + ${from}::int, current_date + ${to}::int, 30)
      where id = any(${`{${doctorIds.join(',')}}`}::uuid[])
    )
    select patient_id as "patientId", doctor_id as "doctorId", lower(slot) as "startsAt", upper(slot) as "endsAt", place::int
    from wanted join offered using (doctor_id, place)`)

/** Appointments of the last four weeks, which are over, and of the next four. Two of one patient at once are left to the database to refuse. */
export async function appointmentsOf(db: Pick<Db, 'execute'>, by: string, doctorIds: string[]) {
  const [past, toCome] = [
    await timesOf(db, doctorIds, { from: -28, to: -1 }),
    await timesOf(db, doctorIds, { from: 1, to: 28 }),
  ]
  const now = new Date()
  const row = ({ place, ...time }: Time, status: string) => ({
    ...time,
    id: newId(),
    status,
    reason: reasons[place % reasons.length] ?? null,
    notes: status === 'completed' ? 'Seen; come again if it does not get better.' : null,
    createdBy: by,
    createdAt: now,
    updatedAt: now,
    version: 1,
  })
  const over = ({ place }: Time) => (place % 10 === 0 ? 'no_show' : place % 7 === 0 ? 'cancelled' : 'completed')
  return [...past.map((time) => row(time, over(time))), ...toCome.map((time) => row(time, 'scheduled'))]
}
