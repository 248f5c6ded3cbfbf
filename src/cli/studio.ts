import { loadCommandConfig } from '../setup.ts'
import { runTool } from './child.ts'
import { printLine, runCommand, withDatabase } from './command.ts'

await runCommand(() =>
  withDatabase(loadCommandConfig(process.env), async ({ url, description, lost }) => {
    printLine(
      `Drizzle Studio shows ${description}. Its page comes from drizzle.studio; the data stays between it and this machine.`,
    )
    return runTool('drizzle-kit', ['studio', '--host', '127.0.0.1'], { ...process.env, DATABASE_URL: url }, lost)
  }),
)
