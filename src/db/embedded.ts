import { existsSync } from 'node:fs'
import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { PGlite } from '@electric-sql/pglite'
import { btree_gist } from '@electric-sql/pglite/contrib/btree_gist'
import { pg_trgm } from '@electric-sql/pglite/contrib/pg_trgm'
import { unaccent } from '@electric-sql/pglite/contrib/unaccent'
import { serve } from './serve.ts'

/** The folder is another process's. */
export class FolderInUse extends Error {
  override name = 'FolderInUse'
}

/**
 * Holds `file` for this process alone. PGlite has no lock of its own, and two on one folder lose what both wrote.
 * SQLite's is the operating system's: it ends with the process, however that ends, and cannot be taken from a live one.
 */
function lock(file: string): DatabaseSync {
  const held = new DatabaseSync(file)
  try {
    held.exec('pragma busy_timeout = 0; begin exclusive')
    return held
  } catch (error) {
    held.close()
    throw error instanceof Error && error.message.includes('locked') ? new FolderInUse(file) : error
  }
}

const extensions = { btree_gist, pg_trgm, unaccent }

/** Where the database of a folder is served, once it is ready and as long as it is. A killed process leaves it behind. */
const addressFile = (folder: string) => join(folder, 'database-url')

/** The address in the folder's file; undefined where there is none. */
export const servedAt = (folder: string): Promise<string | undefined> =>
  readFile(addressFile(folder), 'utf8').catch(() => undefined)

/** A PostgreSQL in WebAssembly on the loopback, for trying out and developing. */
export type Embedded = { url: string; stop(): Promise<void> }

/**
 * Opens the database in `folder`, making it when there is none, and serves it to `postgres://` clients.
 * Other processes find it ({@link servedAt}) once `prepare` is done.
 * @throws {FolderInUse} where another process has it open
 */
export async function startEmbedded(folder: string, prepare: (url: string) => Promise<unknown>): Promise<Embedded> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  // Also one that is there already: nobody else on the machine reads what is below it.
  await chmod(folder, 0o700)
  const held = lock(join(folder, 'lock'))
  await rm(addressFile(folder), { force: true })
  const data = join(folder, 'postgres')
  if (!existsSync(data)) {
    // A kill half-way through the making leaves a folder that cannot be opened: it becomes ours only when it is whole.
    const unfinished = join(folder, 'postgres.new')
    await rm(unfinished, { recursive: true, force: true })
    const made = await PGlite.create(unfinished, { extensions })
    await made.close()
    await rename(unfinished, data)
  }
  const db = await PGlite.create(data, { extensions })
  const server = await serve(db)
  await prepare(server.url)
  const announced = `${addressFile(folder)}.new`
  await rm(announced, { force: true })
  await writeFile(announced, server.url, { mode: 0o600 })
  await rename(announced, addressFile(folder))
  return {
    url: server.url,
    async stop() {
      await rm(addressFile(folder), { force: true })
      await server.stop()
      await db.close()
      held.close()
    },
  }
}
