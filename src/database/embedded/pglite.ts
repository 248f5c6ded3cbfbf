import { existsSync } from 'node:fs'
import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { PGlite } from '@electric-sql/pglite'
import { btree_gist } from '@electric-sql/pglite/contrib/btree_gist'
import { pg_trgm } from '@electric-sql/pglite/contrib/pg_trgm'
import { unaccent } from '@electric-sql/pglite/contrib/unaccent'
import { servePglite } from './server.ts'

/** The folder is another process's. */
export class FolderInUseError extends Error {
  override name = 'FolderInUse'
}

/**
 * Holds `file` for this process alone. PGlite has no lock of its own, and two on one folder lose what both wrote.
 * SQLite's is the operating system's: it ends with the process, however that ends, and cannot be taken from a live one.
 */
function lockFile(file: string): DatabaseSync {
  const lockHandle = new DatabaseSync(file)
  try {
    lockHandle.exec('pragma busy_timeout = 0; begin exclusive')
    return lockHandle
  } catch (error) {
    lockHandle.close()
    throw error instanceof Error && error.message.includes('locked') ? new FolderInUseError(file) : error
  }
}

const pgliteExtensions = { btree_gist, pg_trgm, unaccent }

/** Where the database of a folder is served, once it is ready and as long as it is. A killed process leaves it behind. */
const databaseUrlFile = (folder: string) => join(folder, 'database-url')

/** The address in the folder's file; undefined where there is none. */
export const readServedUrl = (folder: string): Promise<string | undefined> =>
  readFile(databaseUrlFile(folder), 'utf8').catch(() => undefined)

/** A PostgreSQL in WebAssembly on the loopback, for trying out and developing. */
export type EmbeddedDatabase = { url: string; stop(): Promise<void> }

/**
 * Opens the database in `folder`, making it when there is none, and serves it to `postgres://` clients.
 * Other processes find it ({@link readServedUrl}) once `prepare` is done.
 * @throws {FolderInUseError} where another process has it open
 */
export async function startEmbeddedDatabase(
  folder: string,
  prepare: (url: string) => Promise<unknown>,
): Promise<EmbeddedDatabase> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  // Also one that is there already: nobody else on the machine reads what is below it.
  await chmod(folder, 0o700)
  const lockHandle = lockFile(join(folder, 'lock'))
  await rm(databaseUrlFile(folder), { force: true })
  const data = join(folder, 'postgres')
  if (!existsSync(data)) {
    // A kill half-way through the making leaves a folder that cannot be opened: it becomes ours only when it is whole.
    const partialFolder = join(folder, 'postgres.new')
    await rm(partialFolder, { recursive: true, force: true })
    const newDatabase = await PGlite.create(partialFolder, { extensions: pgliteExtensions })
    await newDatabase.close()
    await rename(partialFolder, data)
  }
  const db = await PGlite.create(data, { extensions: pgliteExtensions })
  const server = await servePglite(db)
  await prepare(server.url)
  const newUrlFile = `${databaseUrlFile(folder)}.new`
  await rm(newUrlFile, { force: true })
  await writeFile(newUrlFile, server.url, { mode: 0o600 })
  await rename(newUrlFile, databaseUrlFile(folder))
  return {
    url: server.url,
    async stop() {
      await rm(databaseUrlFile(folder), { force: true })
      await server.stop()
      await db.close()
      lockHandle.close()
    },
  }
}
