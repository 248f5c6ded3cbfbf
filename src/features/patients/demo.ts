import type { Faker } from '@faker-js/faker'
import type { z } from 'zod'
import {
  createFaker,
  createIdAt,
  type DemoRecord,
  demoToday,
  fakeEmail,
  fakePhone,
  msPerDay,
  msPerYear,
} from '../../cli/demo/fake-values.ts'
import { insertAudited, withFirstVersion } from '../../cli/demo/insert-audited.ts'
import type { DatabaseOrTransaction } from '../../context.ts'
import { patientAuditOptions } from './queries.ts'
import { PatientReplacement, patients } from './schema.ts'

/** Substances that made-up patients do not bear. */
const substances = [
  'Penicillin',
  'Amoxicillin',
  'Sulfonamides',
  'Aspirin',
  'Ibuprofen',
  'Latex',
  'Peanuts',
  'Shellfish',
  'Eggs',
  'Bee venom',
  'Birch pollen',
  'Iodine contrast',
  'House dust mites',
]

/** What people have, and the age from which they may. */
const medicalConditions = [
  { name: 'Asthma, salbutamol as needed', from: 3 },
  { name: 'Atopic dermatitis', from: 0 },
  { name: 'Seasonal allergic rhinitis', from: 5 },
  { name: 'Appendectomy', from: 8 },
  { name: 'Fracture of the left forearm, healed', from: 4 },
  { name: 'Migraine with aura', from: 14 },
  { name: 'Iron deficiency anaemia', from: 12 },
  { name: 'Hypothyroidism, levothyroxine 75 µg', from: 20 },
  { name: 'Type 2 diabetes, metformin 500 mg twice a day', from: 35 },
  { name: 'Hypertension, ramipril 5 mg', from: 35 },
  { name: 'Hypercholesterolaemia, atorvastatin 20 mg', from: 38 },
  { name: 'Osteoarthritis of the right knee', from: 48 },
  { name: 'Coronary heart disease, stent', from: 52 },
  { name: 'Chronic kidney disease, stage 2', from: 55 },
  { name: 'Cataract surgery on both eyes', from: 62 },
  { name: 'Hip replacement', from: 64 },
]

/** A made-up patient, with the doctors who treat them, as places in the list of doctors: each from 0 up to 1. */
export type DemoPatient = DemoRecord<z.output<typeof PatientReplacement>> & { treatedBy: number[] }

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

/** Stores patients that are not there yet, added by the account `by`. Tells how many were new. */
export function insertDemoPatients(db: DatabaseOrTransaction, by: string, demo: DemoPatient[]) {
  const rows = demo.map(({ treatedBy, ...patient }) => ({ ...withFirstVersion(patient), createdBy: by }))
  return insertAudited(db, patients, rows, by, patientAuditOptions)
}
