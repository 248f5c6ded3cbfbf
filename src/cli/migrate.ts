import type { Config } from '../config.ts'
import { migrate } from '../db/migrate.ts'
import { configureCommand } from '../setup.ts'
import { run, say, withDatabase } from './command.ts'
import { CommandError } from './failure.ts'

/** Migrates, and tells how many migrations that took and where. */
const migrateOnce = (config: Config) =>
  withDatabase(config, async ({ url, name, applied }) => ({ name, count: applied + (await migrate(url)) }))

/** The embedded database may be another command's, which ends when it likes: then this one opens it itself. */
async function migrateWherever(config: Config): ReturnType<typeof migrateOnce> {
  for (;;) {
    try {
      return await migrateOnce(config)
    } catch (error) {
      if (config.DATABASE_URL || !(error instanceof CommandError) || !error.unreachable) throw error
    }
  }
}

await run(async () => {
  const { name, count } = await migrateWherever(configureCommand(process.env))
  say(
    count === 0
      ? `Nothing to do: the schema is the newest already in ${name}.`
      : `Applied ${count} ${count === 1 ? 'migration' : 'migrations'} to ${name}.`,
  )
  return 0
})
