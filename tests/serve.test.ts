import { once } from 'node:events'
import { connect } from 'node:net'
import { PGlite } from '@electric-sql/pglite'
import postgres from 'postgres'
import { afterAll, describe, expect, it } from 'vitest'
import { servePglite } from '../src/database/embedded/server.ts'

const db = await PGlite.create()
const server = await servePglite(db)
const client = () => postgres(server.url, { max: 1, fetch_types: false, onnotice: () => {} })

afterAll(async () => {
  await server.stop()
  await db.close()
})

/** A message of PostgreSQL's protocol. */
const message = (type: string, body: string) => {
  const bytes = Buffer.from(`${type}\0\0\0\0${body}`, 'latin1')
  bytes.writeInt32BE(body.length + 4, 1)
  return bytes
}
const query = (text: string) => message('Q', `${text}\0`)

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

describe('who may talk to the embedded database', () => {
  const refused = { code: '28P01' }
  const ask = async (url: string) => {
    const sql = postgres(url, { max: 1, fetch_types: false, connect_timeout: 5 })
    try {
      return await sql`select 1 as one`
    } finally {
      await sql.end({ timeout: 1 })
    }
  }

  it('is who knows the password in its URL, which is another each time', async () => {
    expect(await ask(server.url)).toEqual([{ one: 1 }])
    const { password } = new URL(server.url)
    expect(password.length).toBeGreaterThan(24)
    const other = await servePglite(db)
    expect(new URL(other.url).password).not.toBe(password)
    await other.stop()
  })

  it('takes few bytes of whoever has not proved to know it', async () => {
    const { hostname, port } = new URL(server.url)
    const socket = connect(Number(port), hostname)
    // A greeting that is said to have a hundred million bytes (PostgreSQL, StartupMessage).
    const greeting = Buffer.alloc(8)
    greeting.writeInt32BE(100_000_000)
    greeting.writeInt32BE(196_608, 4)
    socket.write(greeting)
    await once(socket.resume(), 'close')
  })

  it.each<[string, (password: string) => { username?: string; password: string }]>([
    ['none', () => ({ password: '' })],
    ['another', () => ({ password: 'postgres' })],
    ['a part of it', (password) => ({ password: password.slice(0, -1) })],
    ['another user and none', () => ({ username: 'root', password: '' })],
  ])('is nobody with %s', async (_, change) => {
    const url = new URL(server.url)
    const wrong = Object.assign(url, change(url.password))
    await expect(ask(wrong.href)).rejects.toMatchObject(refused)
  })

  it.each<[string, Buffer[]]>([
    ['a query in place of a proof', [query('select 1')]],
    ['a password in the clear', [message('p', 'postgres\0')]],
    ['another mechanism', [message('p', 'PLAIN\0\0\0\0\0')]],
    ['no nonce', [message('p', 'SCRAM-SHA-256\0\0\0\0\x08n,,n=,r=')]],
    [
      'a proof of nothing',
      [message('p', 'SCRAM-SHA-256\0\0\0\0\x0en,,n=,r=abcdef'), message('p', 'c=biws,r=abcdef,p=')],
    ],
    ['odd bytes', [Buffer.from([0xff, 0, 0, 0, 9, 1, 2, 3, 4, 5])]],
  ])('is not who answers with %s', async (_, sent) => {
    const socket = connect({ port: Number(new URL(server.url).port), host: '127.0.0.1' })
    const received: Buffer[] = []
    socket.on('data', (bytes: Buffer) => received.push(bytes))
    socket.write(Buffer.from('\0\0\0\x17\0\x03\0\0user\0postgres\0\0', 'latin1'))
    for (const one of sent) socket.write(one)
    await new Promise((resolve) => socket.on('close', resolve).on('error', () => {}))
    const answer = Buffer.concat(received).toString('latin1')
    expect(answer).not.toContain('server_version')
    expect(await ask(server.url)).toEqual([{ one: 1 }])
  })
})
