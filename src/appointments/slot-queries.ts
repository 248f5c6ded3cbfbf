import { and, eq, sql } from 'drizzle-orm'
import { live } from '../access/scope.ts'
import type { Db } from '../db/client.ts'
import { prepared } from '../db/prepared.ts'
import { doctors } from '../doctors/schema.ts'
import { Problem } from '../http/problem.ts'
import { appointments } from './schema.ts'

const { placeholder } = sql
const [from, to] = [sql`${placeholder('from')}::date`, sql`${placeholder('to')}::date`]

/** What the doctor has booked, as one multirange, so that it is gathered once and not once a slot. */
const taken = sql`(select coalesce(range_agg(tstzrange(starts_at, ends_at)), '{}') from ${appointments}
  where doctor_id = ${doctors.id} and status = 'scheduled'
    and tstzrange(starts_at, ends_at) && tstzrange((${from} - 1)::timestamp at time zone 'UTC', (${to} + 3)::timestamp at time zone 'UTC'))`

const free = sql`(
  select coalesce(json_agg(json_build_object('startsAt', lower(slot), 'endsAt', upper(slot)) order by slot), '[]')
  from open_slots(${doctors.workingHours}, ${doctors.timeZone}, ${from}, ${to}, ${placeholder('minutes')}::int)
  where lower(slot) >= now() and not slot && ${taken})`

/** JSON comes as text. */
const slots = (text: string): { startsAt: string; endsAt: string }[] => JSON.parse(text)

const freeSlots = prepared((db: Db) =>
  db
    .select({ free: sql`${free}`.mapWith(slots) })
    .from(doctors)
    .where(and(eq(doctors.id, placeholder('id')), live(doctors)))
    .prepare('slots'),
)

type Wanted = { from: string; to: string; minutes: number }

/**
 * The times of so many minutes that can be booked with the doctor, on the days from `from` to `to` of the doctor's zone.
 * @throws {Problem} 404
 */
export async function listSlots(db: Db, id: string, wanted: Wanted) {
  const [row] = await freeSlots(db, {}).execute({ id, ...wanted })
  if (!row) throw new Problem('not-found')
  return row.free.map(({ startsAt, endsAt }) => ({ startsAt: new Date(startsAt), endsAt: new Date(endsAt) }))
}
