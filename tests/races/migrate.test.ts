import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import postgres from 'postgres'
import { expect, it } from 'vitest'
import { Program } from '../support/program.ts'

it('ten at once on an empty database: one migrates, nine find it done', async () => {
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
