import { findStrayFiles } from '../jobs/sweep-report-files.ts'
import { openFileStore, parseCommandConfig } from '../runtime/node/startup.ts'
import { printLine, runCommand, withDatabase } from './command.ts'
import { CommandError } from './command-error.ts'

/** So many files of which not one has a report are another database's. */
const maxStrayFiles = 10

const formatFileCount = (files: number) => `${files} ${files === 1 ? 'file' : 'files'}`

await runCommand(async () => {
  const config = parseCommandConfig(process.env, { keepsFiles: true })
  const files = await openFileStore(config)
  return withDatabase(config, async ({ db, description }) => {
    const { stray, young, known } = await findStrayFiles(db, files)
    if (known === 0 && stray.length > maxStrayFiles)
      throw new CommandError(
        `None of ${stray.length} files has a report in ${description}: is it theirs? Nothing was removed.`,
      )
    for (const key of stray) await files.delete(key)
    if (stray.length > 0) printLine(`Removed ${formatFileCount(stray.length)} without a report in ${description}.`)
    else if (young === 0) printLine(`Nothing to do: every file has its report in ${description}.`)
    if (young > 0)
      printLine(`Left ${formatFileCount(young)} without a report: uploads of the last hour may still be under way.`)
    return 0
  })
})
