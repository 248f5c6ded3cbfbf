import { base, en, Faker } from '@faker-js/faker'
import { v7 as uuid } from 'uuid'

/** Before this day everything of the demo happened, so that the same seed makes the same people on any day. */
export const demoToday = new Date('2026-01-01T00:00:00Z')
export const msPerDay = 86_400_000
export const msPerYear = 365.25 * msPerDay

/** A record that is to be stored, as the API's own rules leave it. */
export type DemoRecord<T> = T & { id: string; createdAt: Date }

/** What makes the values of one kind of records, from the seed. */
export function createFaker(seed: number, kind: number): Faker {
  const faker = new Faker({ locale: [en, base] })
  faker.seed([seed, kind])
  return faker
}

/** The id of a record that was made at that time. */
export const createIdAt = (faker: Faker, createdAt: Date) =>
  uuid({ msecs: createdAt.getTime(), random: Uint8Array.from({ length: 16 }, () => faker.number.int(255)) })

/** A number that nobody has: 555-01xx is kept for stories. */
export const fakePhone = (faker: Faker) =>
  `+1 ${faker.helpers.arrayElement([212, 312, 415, 503, 617, 702])} 555 01${faker.string.numeric(2)}`

/** An address that nobody has: example.org is kept for that. */
export const fakeEmail = (faker: Faker, first: string, last: string) =>
  `${first}.${last}.${faker.string.alphanumeric({ length: 5, casing: 'lower' })}@example.org`.replace(/[^\w.@-]/g, '')
