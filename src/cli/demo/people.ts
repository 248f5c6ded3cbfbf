import { base, en, Faker } from '@faker-js/faker'
import { v7 as uuid } from 'uuid'
import type { z } from 'zod'
import { DoctorReplacement } from '../../features/doctors/schema.ts'
import { PatientReplacement } from '../../features/patients/schema.ts'
import { everyDaySchedule, medicalConditions, specializations, substances, weeklySchedules } from './words.ts'

/** Before this day everything of the demo happened, so that the same seed makes the same people on any day. */
const demoToday = new Date('2026-01-01T00:00:00Z')
const msPerDay = 86_400_000
const msPerYear = 365.25 * msPerDay

/** A record that is to be stored, as the API's own rules leave it. */
export type DemoRecord<T> = T & { id: string; createdAt: Date }
/** A made-up doctor. */
export type DemoDoctor = DemoRecord<z.output<typeof DoctorReplacement>>
/** With the doctors who treat them, as places in the list of doctors: each from 0 up to 1. */
export type DemoPatient = DemoRecord<z.output<typeof PatientReplacement>> & { treatedBy: number[] }

function createFaker(seed: number, kind: number): Faker {
  const faker = new Faker({ locale: [en, base] })
  faker.seed([seed, kind])
  return faker
}

const createIdAt = (faker: Faker, createdAt: Date) =>
  uuid({ msecs: createdAt.getTime(), random: Uint8Array.from({ length: 16 }, () => faker.number.int(255)) })

/** A number that nobody has: 555-01xx is kept for stories. */
const fakePhone = (faker: Faker) =>
  `+1 ${faker.helpers.arrayElement([212, 312, 415, 503, 617, 702])} 555 01${faker.string.numeric(2)}`

const fakeEmail = (faker: Faker, first: string, last: string) =>
  `${first}.${last}.${faker.string.alphanumeric({ length: 5, casing: 'lower' })}@example.org`.replace(/[^\w.@-]/g, '')

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

const pickYearSince = (faker: Faker, age: number, from: number) =>
  demoToday.getUTCFullYear() - faker.number.int({ min: 0, max: Math.max(0, Math.floor(age) - from) })

/** What someone of this age may have had: more with the years, and each since an age at which it happens. */
function fakeMedicalHistory(faker: Faker, age: number): string | null {
  const possible = medicalConditions.filter(({ from }) => age >= from)
  const count = faker.number.int({ min: 0, max: age < 30 ? 1 : age < 60 ? 2 : 4 })
  const had = faker.helpers.arrayElements(possible, count)
  return had.map(({ name, from }) => `${name} (${pickYearSince(faker, age, from)}).`).join('\n') || null
}

/** Patients without end, always the same ones of a seed. */
export function* generatePatients(seed: number): Generator<DemoPatient> {
  const faker = createFaker(seed, 2)
  const some = <T>(probability: number, make: () => T) => (faker.datatype.boolean(probability) ? make() : null)
  for (;;) {
    const gender = faker.helpers.weightedArrayElement([
      { weight: 49, value: 'female' as const },
      { weight: 48, value: 'male' as const },
      { weight: 2, value: 'other' as const },
      { weight: 1, value: 'unknown' as const },
    ])
    const first = faker.person.firstName(gender === 'female' || gender === 'male' ? gender : undefined)
    const last = faker.person.lastName()
    const age = faker.number.float({ min: 0.1, max: 96 })
    const born = new Date(demoToday.getTime() - age * msPerYear)
    const createdAt = faker.date.between({
      from: Math.max(born.getTime(), demoToday.getTime() - 720 * msPerDay),
      to: demoToday,
    })
    yield {
      ...PatientReplacement.parse({
        name: `${first} ${last}`,
        dateOfBirth: born.toISOString().slice(0, 10),
        gender,
        phone: some(0.9, () => fakePhone(faker)),
        // Children have no address of their own.
        email: age < 14 ? null : some(0.7, () => fakeEmail(faker, first, last)),
        address: some(
          0.9,
          () =>
            `${faker.location.streetAddress()}, ${faker.location.city()}, ${faker.location.state({ abbreviated: true })}`,
        ),
        bloodGroup: some(0.85, () =>
          faker.helpers.weightedArrayElement([
            { weight: 38, value: 'O+' },
            { weight: 34, value: 'A+' },
            { weight: 9, value: 'B+' },
            { weight: 7, value: 'O-' },
            { weight: 6, value: 'A-' },
            { weight: 3, value: 'AB+' },
            { weight: 2, value: 'B-' },
            { weight: 1, value: 'AB-' },
          ]),
        ),
        allergies: faker.datatype.boolean(0.3)
          ? faker.helpers.arrayElements(substances, faker.number.int({ min: 1, max: 3 }))
          : [],
        medicalHistory: fakeMedicalHistory(faker, age),
      }),
      id: createIdAt(faker, createdAt),
      createdAt,
      treatedBy: Array.from({ length: faker.number.int({ min: 1, max: 3 }) }, () => faker.number.float()),
    }
  }
}
