import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { btree_gist } from '@electric-sql/pglite/contrib/btree_gist'
import { pg_trgm } from '@electric-sql/pglite/contrib/pg_trgm'
import { unaccent } from '@electric-sql/pglite/contrib/unaccent'
import postgres from 'postgres'
import type { TestProject } from 'vitest/node'
import { servePglite } from '../../src/database/embedded/server.ts'
import { migrateDatabase } from '../../src/database/migrate.ts'

/** Where a test file gets a migrated, empty database of its own from. */
export type Template = { kind: 'server'; url: string; name: string } | { kind: 'embedded'; dump: string }

declare module 'vitest' {
  interface ProvidedContext {
    template: Template
  }
}

const extensions = { btree_gist, pg_trgm, unaccent }
const quietly = { max: 1, onnotice: () => {} }

async function serveEmbedded(db: PGlite) {
  const server = await servePglite(db)
  const stop = async () => {
    await server.stop()
    await db.close()
  }
  return { url: server.url, stop }
}

const named = (url: string, name: string) => {
  const other = new URL(url)
  other.pathname = `/${name}`
  return other.href
}

/** Migrates one database for all test files to copy. */
export default async function setUp(project: TestProject) {
  const url = process.env.TEST_DATABASE_URL
  if (url) {
    const name = `hospital_test_${process.pid}`
    const admin = postgres(url, quietly)
    await admin.unsafe(`create database ${name}`)
    await migrateDatabase(named(url, name))
    project.provide('template', { kind: 'server', url, name })
    return async () => {
      await admin.unsafe(`drop database ${name} with (force)`)
      await admin.end()
    }
  }
  const folder = await mkdtemp(join(tmpdir(), 'hospital-test-'))
  const made = await PGlite.create({ extensions })
  const served = await serveEmbedded(made)
  await migrateDatabase(served.url)
  const dump = join(folder, 'dump.tar')
  await writeFile(dump, new Uint8Array(await (await made.dumpDataDir('none')).arrayBuffer()))
  await served.stop()
  project.provide('template', { kind: 'embedded', dump })
  return () => rm(folder, { recursive: true })
}

let copies = 0

/** A database of the caller's own, migrated and empty, until `stop`. */
export async function copyOf(template: Template): Promise<{ url: string; stop(): Promise<void> }> {
  if (template.kind === 'embedded') {
    const loadDataDir = new Blob([new Uint8Array(await readFile(template.dump))])
    return serveEmbedded(await PGlite.create({ loadDataDir, extensions }))
  }
  copies += 1
  const name = `${template.name}_${process.pid}_${copies}`
  const admin = postgres(template.url, quietly)
  await admin.unsafe(`create database ${name} template ${template.name}`)
  return {
    url: named(template.url, name),
    async stop() {
      await admin.unsafe(`drop database ${name} with (force)`)
      await admin.end()
    },
  }
}
