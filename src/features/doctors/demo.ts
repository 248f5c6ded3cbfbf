import { and, inArray, isNull } from 'drizzle-orm'
import type { z } from 'zod'
import {
  createFaker,
  createIdAt,
  type DemoRecord,
  demoToday,
  fakeEmail,
  fakePhone,
  msPerDay,
} from '../../cli/demo/fake-values.ts'
import { insertAudited, withFirstVersion } from '../../cli/demo/insert-audited.ts'
import type { DatabaseOrTransaction } from '../../context.ts'
import { doctorAuditOptions } from './queries.ts'
import { DoctorReplacement, doctors } from './schema.ts'

/** Specializations of made-up doctors. */
const specializations = [
  'Cardiology',
  'Dermatology',
  'Emergency Medicine',
  'Endocrinology',
  'Gastroenterology',
  'General Practice',
  'Gynaecology',
  'Neurology',
  'Oncology',
  'Ophthalmology',
  'Orthopaedics',
  'Paediatrics',
  'Psychiatry',
  'Pulmonology',
  'Radiology',
  'Surgery',
  'Urology',
]

const workdays = ['mon', 'tue', 'wed', 'thu', 'fri']
const weeklySpans = (days: string[], ...hours: [string, string][]) =>
  days.flatMap((day) => hours.map(([from, to]) => ({ day, from, to })))

/** Working hours that are the same on each day. */
const everyDaySchedule = weeklySpans([...workdays, 'sat', 'sun'], ['08:00', '18:00'])
/** Working hours of made-up doctors. */
const weeklySchedules = [
  weeklySpans(workdays, ['09:00', '17:00']),
  weeklySpans(workdays, ['08:00', '12:00'], ['13:00', '16:30']),
  weeklySpans(['mon', 'tue', 'thu'], ['10:00', '18:00']),
  weeklySpans(['mon', 'wed', 'fri'], ['07:30', '15:30']),
  [...weeklySpans(workdays, ['09:00', '13:00']), ...weeklySpans(['sat'], ['09:00', '12:00'])],
  weeklySpans(['tue', 'wed', 'thu', 'fri'], ['12:00', '20:00']),
]

/** A made-up doctor. */
export type DemoDoctor = DemoRecord<z.output<typeof DoctorReplacement>>

/** Doctors without end, always the same ones of a seed. */
export function* generateDoctors(seed: number): Generator<DemoDoctor> {
  const faker = createFaker(seed, 1)
  for (let count = 0; ; count += 1) {
    const [first, last] = [faker.person.firstName(), faker.person.lastName()]
    const createdAt = faker.date.recent({ days: 1500, refDate: new Date(demoToday.getTime() - 720 * msPerDay) })
    yield {
      ...DoctorReplacement.parse({
        name: `Dr. ${first} ${last}`,
        specialization: faker.helpers.arrayElement(specializations),
        email: fakeEmail(faker, first, last),
        phone: fakePhone(faker),
        licenseNumber: `NY-${faker.string.numeric(8)}`,
        experienceYears: faker.number.int({ min: 1, max: 38 }),
        timeZone: 'America/New_York',
        // Somebody is there on every day of the week.
        workingHours: count % 4 === 0 ? everyDaySchedule : faker.helpers.arrayElement(weeklySchedules),
      }),
      id: createIdAt(faker, createdAt),
      createdAt,
    }
  }
}

/** Stores doctors that are not there yet. Tells how many were new, and which of them all are there now. */
export async function insertDemoDoctors(db: DatabaseOrTransaction, by: string, demo: DemoDoctor[]) {
  const made = await insertAudited(db, doctors, demo.map(withFirstVersion), by, doctorAuditOptions)
  const ids = demo.map(({ id }) => id)
  const there = await db
    .select({ id: doctors.id })
    .from(doctors)
    .where(and(inArray(doctors.id, ids), isNull(doctors.deletedAt)))
    .orderBy(doctors.id)
  return { made, ids: there.map(({ id }) => id) }
}
