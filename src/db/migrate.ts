import { fileURLToPath } from 'node:url'
import { sql } from 'drizzle-orm'
import { readMigrationFiles } from 'drizzle-orm/migrator'
import { close, connect } from './client.ts'

const migrationsFolder = fileURLToPath(new URL('../../drizzle', import.meta.url))
/** Any number, as long as it is the same in every process that migrates. */
const lock = 4_202_026

/**
 * Brings the database at `url` to the newest schema, all or nothing, and tells how many migrations that took. Drizzle's
 * own migrator takes no lock and reads where it stands before it begins. Here one transaction holds the lock from the
 * reading to the end, in Drizzle's own table: whoever comes later waits, and finds nothing to do.
 */
export async function migrate(url: string): Promise<number> {
  const migrations = readMigrationFiles({ migrationsFolder })
  const db = connect(url, { max: 1 })
  try {
    return await db.transaction(async (tx) => {
      await tx.execute(sql`select pg_advisory_xact_lock(${lock})`)
      await tx.execute(sql`create schema if not exists drizzle`)
      await tx.execute(sql`create table if not exists drizzle.__drizzle_migrations
        (id serial primary key, hash text not null, created_at bigint)`)
      const [newest] = await tx.execute<{ at: string | null }>(
        sql`select max(created_at) as at from drizzle.__drizzle_migrations`,
      )
      const missing = migrations.filter(({ folderMillis }) => folderMillis > Number(newest?.at ?? 0))
      for (const { sql: statements, hash, folderMillis } of missing) {
        for (const statement of statements) await tx.execute(sql.raw(statement))
        await tx.execute(
          sql`insert into drizzle.__drizzle_migrations (hash, created_at) values (${hash}, ${folderMillis})`,
        )
      }
      return missing.length
    })
  } finally {
    await close(db)
  }
}
