import { and, eq, sql } from 'drizzle-orm'
import { notDeleted } from '../../access/visibility.ts'
import type { DatabaseOrTransaction } from '../../context.ts'
import { preparedStatement } from '../../database/query/prepared-statement.ts'
import { Problem } from '../../http/problem.ts'
import { doctors } from '../doctors/schema.ts'
import { appointments } from './schema.ts'

const { placeholder } = sql
const [fromDateSql, toDateSql] = [sql`${placeholder('from')}::date`, sql`${placeholder('to')}::date`]

/** What the doctor has booked, as one multirange, so that it is gathered once and not once a slot. */
const bookedRangesSql = sql`(select coalesce(range_agg(tstzrange(starts_at, ends_at)), '{}') from ${appointments}
  where doctor_id = ${doctors.id} and status = 'scheduled'
    and tstzrange(starts_at, ends_at) && tstzrange((${fromDateSql} - 1)::timestamp at time zone 'UTC', (${toDateSql} + 3)::timestamp at time zone 'UTC'))`

const freeSlotsSql = sql`(
  select coalesce(json_agg(json_build_object('startsAt', lower(slot), 'endsAt', upper(slot)) order by slot), '[]')
  from open_slots(${doctors.workingHours}, ${doctors.timeZone}, ${fromDateSql}, ${toDateSql}, ${placeholder('minutes')}::int)
  where lower(slot) >= now() and not slot && ${bookedRangesSql})`

/** JSON comes as text. */
const parseSlots = (text: string): { startsAt: string; endsAt: string }[] => JSON.parse(text)

const freeSlotsStatement = preparedStatement((db: DatabaseOrTransaction) =>
  db
    .select({ free: sql`${freeSlotsSql}`.mapWith(parseSlots) })
    .from(doctors)
    .where(and(eq(doctors.id, placeholder('id')), notDeleted(doctors)))
    .prepare('slots'),
)

type SlotListQuery = { from: string; to: string; minutes: number }

/**
 * The times of so many minutes that can be booked with the doctor, on the days from `from` to `to` of the doctor's zone.
 * @throws {Problem} 404
 */
export async function listSlots(db: DatabaseOrTransaction, doctorId: string, query: SlotListQuery) {
  const [row] = await freeSlotsStatement(db, {}).execute({ id: doctorId, ...query })
  if (!row) throw new Problem('not-found')
  return row.free.map(({ startsAt, endsAt }) => ({ startsAt: new Date(startsAt), endsAt: new Date(endsAt) }))
}
