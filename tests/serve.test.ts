import { PGlite } from '@electric-sql/pglite'
import postgres from 'postgres'
import { afterAll, describe, expect, it } from 'vitest'
import { serve } from '../src/db/serve.ts'

const db = await PGlite.create()
const server = await serve(db)
const client = () => postgres(server.url, { max: 1, fetch_types: false, onnotice: () => {} })

afterAll(async () => {
  await server.stop()
  await db.close()
})

const divided = (error: unknown) => error instanceof postgres.PostgresError && error.code === '22012'

describe('the embedded database over its socket', () => {
  it('gives each of many clients its own rows, errors and transactions', async () => {
    const kinds = [
      async (sql: postgres.Sql, n: number) => (await sql`select ${n}::int as n`)[0]?.n === n,
      async (sql: postgres.Sql, n: number) => (await sql`select ${`${n}`}::text as n`)[0]?.n === `${n}`,
      (sql: postgres.Sql, n: number) => sql`select ${n}::int / 0`.then(() => false, divided),
      (sql: postgres.Sql, n: number) =>
        sql.begin(async (tx) => {
          const [first] = await tx`select ${n}::int as n`
          const [second] = await tx`select ${n}::int as n`
          return first?.n === n && second?.n === n
        }),
      (sql: postgres.Sql, n: number) => sql.begin((tx) => tx`select ${n}::int / 0`).then(() => false, divided),
    ]
    const talk = async (sql: postgres.Sql, place: number) => {
      const wrong: number[] = []
      for (let count = 0; count < 50; count += 1) {
        const kind = kinds[(place + count) % kinds.length]
        if (!(await kind?.(sql, place * 1000 + count))) wrong.push(count)
      }
      await sql.end()
      return wrong
    }
    const wrong = await Promise.all(Array.from({ length: 12 }, (_, place) => talk(client(), place)))
    expect(wrong.flat()).toEqual([])
  })

  it('undoes what a client left when it broke off', async () => {
    const [gone, other] = [client(), client()]
    await other`create table things (name text)`
    const broken = gone.begin(async (tx) => {
      await tx`insert into things values ('half')`
      await gone.end({ timeout: 0 })
    })
    await expect(broken).rejects.toThrow()
    expect(await other`select name from things`).toHaveLength(0)
    const [row] =
      await other`select count(*)::int as left_over from pg_prepared_statements where statement like 'insert%'`
    expect(row?.left_over).toBe(0)
    await other.end()
  })
})
