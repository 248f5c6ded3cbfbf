import { fileURLToPath } from 'node:url'
import { sql } from 'drizzle-orm'
import { migrate as applyMigrations } from 'drizzle-orm/postgres-js/migrator'
import { close, connect } from './client.ts'

const migrationsFolder = fileURLToPath(new URL('../../drizzle', import.meta.url))
/** Any number, as long as it is the same in every process that migrates. */
const lock = 4_202_026

/**
 * Brings the database at `url` to the newest schema. Drizzle's migrator takes no lock and reads where it stands before
 * it begins, so a second connection holds one around it: whoever comes later waits, and finds nothing to do. `alone`
 * leaves that out for the embedded database, which no other process can have open and which runs one transaction at a time.
 */
export async function migrate(url: string, { alone = false } = {}): Promise<void> {
  const db = connect(url, { max: 1 })
  const guard = connect(url, { max: 1 })
  try {
    if (alone) return await applyMigrations(db, { migrationsFolder })
    await guard.transaction(async (held) => {
      await held.execute(sql`select pg_advisory_xact_lock(${lock})`)
      await applyMigrations(db, { migrationsFolder })
    })
  } finally {
    await Promise.all([close(db), close(guard)])
  }
}
