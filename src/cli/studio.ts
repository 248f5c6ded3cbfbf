import { configureCommand } from '../setup.ts'
import { runTool } from './child.ts'
import { run, say, withDatabase } from './command.ts'

await run(() =>
  withDatabase(configureCommand(process.env), async ({ url, name, lost }) => {
    say(`Drizzle Studio shows ${name}. Its page comes from drizzle.studio; the data stays between it and this machine.`)
    return runTool('drizzle-kit', ['studio', '--host', '127.0.0.1'], { ...process.env, DATABASE_URL: url }, lost)
  }),
)
