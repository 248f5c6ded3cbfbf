import { parseCommandConfig } from '../runtime/node/startup.ts'
import { printLine, runCommand, withDatabase } from './command.ts'
import { runTool } from './run-tool.ts'

await runCommand(() =>
  withDatabase(parseCommandConfig(process.env), async ({ url, description, lost }) => {
    printLine(
      `Drizzle Studio shows ${description}. Its page comes from drizzle.studio; the data stays between it and this machine.`,
    )
    return runTool('drizzle-kit', ['studio', '--host', '127.0.0.1'], { ...process.env, DATABASE_URL: url }, lost)
  }),
)
