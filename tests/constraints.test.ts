import { sql } from 'drizzle-orm'
import { describe, expect, it } from 'vitest'
import { constraintProblems } from '../src/app.ts'
import { world } from './support/api.ts'

const { api } = await world()

/** Raised by a trigger under this name. */
const raisedByTriggers = ['appointments_to_come']

describe('Constraints of the database', async () => {
  const rows = await api.db.execute<{ name: string }>(sql`
    select conname as name from pg_constraint where connamespace = 'public'::regnamespace and contype in ('u', 'f', 'c', 'x')
    union
    select relname from pg_index join pg_class on pg_class.oid = indexrelid
      where indisunique and not indisprimary and relnamespace = 'public'::regnamespace
    order by name`)
  const names = rows.map(({ name }) => name)

  it.each(names)('the constraint %s has a problem of its own, or says why no caller violates it', (name) => {
    expect(constraintProblems).toHaveProperty(name)
  })

  it('every constraint that a problem names is in the database', () => {
    expect(Object.keys(constraintProblems).filter((name) => !names.includes(name))).toEqual(raisedByTriggers)
  })
})
