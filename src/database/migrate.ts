import { fileURLToPath } from 'node:url'
import { sql } from 'drizzle-orm'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { closeDatabase, connectDatabase } from './client.ts'

const migrationsFolder = fileURLToPath(new URL('../../drizzle', import.meta.url))
/** Any number, as long as it is the same in every process that migrates. */
const migrationLockId = 4_202_026

/** What a database has that this code does not know: migrations of a newer version of it, or of another project. */
export type UnknownMigrations = 'newer' | 'foreign'

/**
 * Brings the database at `url` to the newest schema, all or nothing, and tells how many migrations that took, and what it
 * has of `unknown` ones; a newer schema than this code's is left as it is. Drizzle's
 * own migrator takes no lock and reads where it stands before it begins. Here one transaction holds the lock from the
 * reading to the end, in Drizzle's own table: whoever comes later waits, and finds nothing to do.
 */
export async function migrateDatabase(
  url: string,
): Promise<{ appliedCount: number; unknown: UnknownMigrations | undefined }> {
  const migrations = readMigrationFiles({ migrationsFolder })
  const db = connectDatabase(url, { maxConnections: 1 })
  try {
    return await db.transaction(async (tx) => {
      await tx.execute(sql`select pg_advisory_xact_lock(${migrationLockId})`)
      await tx.execute(sql`create schema if not exists drizzle`)
      await tx.execute(sql`create table if not exists drizzle.__drizzle_migrations
        (id serial primary key, hash text not null, created_at bigint)`)
      const rows = await tx.execute<{ at: string }>(sql`select created_at as at from drizzle.__drizzle_migrations`)
      const present = rows.map(({ at: time }) => Number(time))
      const known = migrations.map(({ folderMillis }) => folderMillis)
      const unknownTimes = present.filter((time) => !known.includes(time))
      if (unknownTimes.length > 0) {
        const isNewer = unknownTimes.every((time) => time > Math.max(...known))
        return { appliedCount: 0, unknown: isNewer ? 'newer' : 'foreign' }
      }
      const missing = migrations.filter(({ folderMillis }) => folderMillis > Math.max(0, ...present))
      for (const { sql: statements, hash, folderMillis } of missing) {
        for (const statement of statements) await tx.execute(sql.raw(statement))
        await tx.execute(
          sql`insert into drizzle.__drizzle_migrations (hash, created_at) values (${hash}, ${folderMillis})`,
        )
      }
      return { appliedCount: missing.length, unknown: undefined }
    })
  } finally {
    await closeDatabase(db)
  }
}
