import { strayFiles } from '../reports/sweep.ts'
import { configureCommand, openFiles } from '../setup.ts'
import { run, say, withDatabase } from './command.ts'
import { CommandError } from './failure.ts'

/** So many files of which not one has a report are another database's. */
const suspicious = 10

const countOf = (files: number) => `${files} ${files === 1 ? 'file' : 'files'}`

await run(async () => {
  const config = configureCommand(process.env, { keepsFiles: true })
  const files = await openFiles(config)
  return withDatabase(config, async ({ db, name }) => {
    const { stray, young, known } = await strayFiles(db, files)
    if (known === 0 && stray.length > suspicious)
      throw new CommandError(
        `None of ${stray.length} files has a report in ${name}: is it theirs? Nothing was removed.`,
      )
    for (const key of stray) await files.delete(key)
    if (stray.length > 0) say(`Removed ${countOf(stray.length)} without a report in ${name}.`)
    else if (young === 0) say(`Nothing to do: every file has its report in ${name}.`)
    if (young > 0) say(`Left ${countOf(young)} without a report: uploads of the last hour may still be under way.`)
    return 0
  })
})
