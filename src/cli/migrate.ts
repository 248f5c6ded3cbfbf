import type { Config } from '../config.ts'
import { migrateDatabase } from '../database/migrate.ts'
import { parseCommandConfig } from '../runtime/node/startup.ts'
import { printLine, runCommand, withDatabase } from './command.ts'
import { CommandError } from './command-error.ts'

/** Migrates, and tells how many migrations that took and where. */
const migrateOnce = (config: Config) =>
  withDatabase(config, async ({ url, description, appliedCount }) => {
    const migrated = await migrateDatabase(url)
    return { name: description, count: appliedCount + migrated.appliedCount, unknown: migrated.unknown }
  })

/** The embedded database may be another command's, which ends when it likes: then this one opens it itself. */
async function migrateUntilReached(config: Config): ReturnType<typeof migrateOnce> {
  for (;;) {
    try {
      return await migrateOnce(config)
    } catch (error) {
      if (config.DATABASE_URL || !(error instanceof CommandError) || !error.isUnreachable) throw error
    }
  }
}

await runCommand(async () => {
  const { name, count, unknown } = await migrateUntilReached(parseCommandConfig(process.env))
  if (unknown === 'newer')
    throw new CommandError(
      `The schema of ${name} is newer than this code, which goes on working with it. Nothing was done: migrate with the newer version.`,
    )
  if (unknown === 'foreign')
    throw new CommandError(`The schema of ${name} has migrations that are not of this project. Nothing was done.`)
  printLine(
    count === 0
      ? `Nothing to do: the schema is the newest already in ${name}.`
      : `Applied ${count} ${count === 1 ? 'migration' : 'migrations'} to ${name}.`,
  )
  return 0
})
