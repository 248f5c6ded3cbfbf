import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import postgres from 'postgres'
import { expect, it } from 'vitest'
import { Program } from '../support/program.ts'

it('of ten migrations at once on an empty database one migrates, and nine find it done', async () => {
  const server = process.env.TEST_DATABASE_URL ?? ''
  const name = `hospital_migrate_${randomUUID().replaceAll('-', '')}`
  const url = new URL(server)
  url.pathname = `/${name}`
  const admin = postgres(server, { max: 1 })
  await admin.unsafe(`create database ${name}`)
  try {
    const programs = Array.from({ length: 10 }, () => new Program('src/cli/migrate.ts', { DATABASE_URL: url.href }))
    expect(await Promise.all(programs.map((program) => program.exit()))).toEqual(Array(10).fill(0))
    const said = programs.map(({ output }) => output.split(' ')[0]).sort()
    expect(said).toEqual(['Applied', ...Array(9).fill('Nothing')])

    const { entries }: { entries: unknown[] } = JSON.parse(await readFile('drizzle/meta/_journal.json', 'utf8'))
    const migrated = postgres(url.href, { max: 1 })
    const [row] = await migrated`select count(*)::int as count from drizzle.__drizzle_migrations`
    await migrated.end()
    expect(row?.count).toBe(entries.length)
  } finally {
    await admin.unsafe(`drop database ${name} with (force)`)
    await admin.end()
  }
})

/** The statements of the migrations, by their names. */
async function migrations(): Promise<Map<string, string[]>> {
  const { entries }: { entries: { tag: string }[] } = JSON.parse(await readFile('drizzle/meta/_journal.json', 'utf8'))
  const texts = await Promise.all(entries.map(({ tag }) => readFile(`drizzle/${tag}.sql`, 'utf8')))
  return new Map(texts.map((text, index) => [entries[index]?.tag ?? '', text.split('--> statement-breakpoint')]))
}

it('roles become text: each account keeps its role, and versions before and after write so that the other reads it', async () => {
  const server = process.env.TEST_DATABASE_URL ?? ''
  const name = `hospital_roles_${randomUUID().replaceAll('-', '')}`
  const url = new URL(server)
  url.pathname = `/${name}`
  const admin = postgres(server, { max: 1 })
  await admin.unsafe(`create database ${name}`)
  const sql = postgres(url.href, { max: 1, onnotice: () => {} })
  const add = (column: string, role: string) =>
    sql.unsafe(
      `insert into users (id, name, email, password_hash, ${column}) values (gen_random_uuid(), 'x', $1, 'x', $2)`,
      [`${randomUUID()}@example.org`, role],
    )
  const roles = async () => (await sql`select role_name, role from users order by role_name, role`).map(Object.values)
  try {
    for (const [tag, statements] of await migrations()) {
      if (tag === '0012_roles_as_text') for (const role of ['admin', 'doctor', 'patient']) await add('role', role)
      for (const statement of statements) await sql.unsafe(statement)
      if (tag === '0012_roles_as_text') break
    }
    const each = [
      ['admin', 'admin'],
      ['doctor', 'doctor'],
      ['patient', 'patient'],
    ]
    expect(await roles()).toEqual(each)
    await sql`delete from users`
    for (const role of ['admin', 'doctor']) await add('role', role)
    await add('role_name', 'patient')
    expect(await roles()).toEqual(each)
    await sql`update users set role = 'patient' where role = 'admin'`
    await sql`update users set role_name = 'admin' where role_name = 'doctor'`
    expect(await roles()).toEqual([each[0], each[2], each[2]])
    await expect(add('role_name', 'janitor')).rejects.toThrow('users_role_name')
  } finally {
    await sql.end()
    await admin.unsafe(`drop database ${name} with (force)`)
    await admin.end()
  }
})
