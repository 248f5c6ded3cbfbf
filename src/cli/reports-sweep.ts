import { strayFiles } from '../reports/sweep.ts'
import { configureCommand, openFiles } from '../setup.ts'
import { run, say, withDatabase } from './command.ts'
import { CommandError } from './failure.ts'

/** So many files of which not one has a report are another database's. */
const suspicious = 10

await run(async () => {
  const config = configureCommand(process.env, { keepsFiles: true })
  const files = await openFiles(config)
  return withDatabase(config, async ({ db, name }) => {
    const { stray, known } = await strayFiles(db, files)
    if (known === 0 && stray.length > suspicious)
      throw new CommandError(
        `None of ${stray.length} files has a report in ${name}: is it theirs? Nothing was removed.`,
      )
    for (const key of stray) await files.delete(key)
    const count = `${stray.length} ${stray.length === 1 ? 'file' : 'files'}`
    say(
      stray.length === 0
        ? `Nothing to do: every file has its report in ${name}.`
        : `Removed ${count} without a report in ${name}.`,
    )
    return 0
  })
})
