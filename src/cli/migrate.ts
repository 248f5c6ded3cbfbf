import type { Config } from '../config.ts'
import { migrate } from '../db/migrate.ts'
import { configureCommand } from '../setup.ts'
import { run, say, withDatabase } from './command.ts'
import { CommandError } from './failure.ts'

/** Migrates, and tells how many migrations that took and where. */
const migrateOnce = (config: Config) =>
  withDatabase(config, async ({ url, name, applied }) => {
    const migrated = await migrate(url)
    return { name, count: applied + migrated.applied, unknown: migrated.unknown }
  })

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
  const { name, count, unknown } = await migrateWherever(configureCommand(process.env))
  if (unknown === 'newer')
    throw new CommandError(
      `The schema of ${name} is newer than this code, which goes on working with it. Nothing was done: migrate with the newer version.`,
    )
  if (unknown === 'foreign')
    throw new CommandError(`The schema of ${name} has migrations that are not of this project. Nothing was done.`)
  say(
    count === 0
      ? `Nothing to do: the schema is the newest already in ${name}.`
      : `Applied ${count} ${count === 1 ? 'migration' : 'migrations'} to ${name}.`,
  )
  return 0
})
