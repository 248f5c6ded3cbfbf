import { parseArgs } from 'node:util'
import * as z from 'zod'
import type { DemoAccount } from '../features/auth/demo.ts'
import { openFileStore, parseCommandConfig } from '../runtime/node/startup.ts'
import { printLine, runCommand, withDatabase } from './command.ts'
import { CommandError } from './command-error.ts'
import type { DemoSummary } from './demo/run.ts'

const usage = 'npm run db:seed -- [--patients 200] [--doctors 20] [--seed 1] [--yes]'

const wholeNumberOption = (max: number, fallback: number) =>
  z.coerce.number({ error: 'must be a whole number' }).int().min(0).max(max).default(fallback)
const SeedOptions = z.strictObject({
  patients: wholeNumberOption(1_000_000, 200),
  doctors: wholeNumberOption(10_000, 20),
  seed: wholeNumberOption(2 ** 31 - 1, 1),
  yes: z.boolean().default(false),
})

function readOptions(args: string[]) {
  const text = { type: 'string' } as const
  try {
    const { values } = parseArgs({
      args,
      options: { patients: text, doctors: text, seed: text, yes: { type: 'boolean' } },
    })
    const { data, error } = SeedOptions.safeParse(values)
    if (data) return data
    throw new Error(error.issues.map(({ path, message }) => `--${path.join('.')}: ${message}`).join('\n'))
  } catch (error) {
    throw new CommandError(`${error instanceof Error ? error.message : error}\nUsage: ${usage}`)
  }
}

/** Faker and the bar come with development only. */
const loadDemo = () =>
  import('./demo/run.ts').catch((cause: unknown) => {
    throw new CommandError('Demo people need the development packages: run npm ci without --omit=dev.', { cause })
  })

const formatAccount = ({ email, role }: DemoAccount) => `  ${role.padEnd(8)} ${email}`

function formatSummary(name: string, made: DemoSummary): string {
  const { doctors, patients, mappings, appointments, reports } = made
  const addedSentence = `Added ${doctors} doctors, ${patients} patients, ${mappings} mappings, ${appointments} appointments and ${reports} reports to ${name}.`
  const none = doctors + patients + mappings + appointments + reports === 0
  return [
    none ? `Nothing to add: these people are in ${name} already. Another --seed makes others.` : addedSentence,
    `Sign in with the password "${made.password}" as`,
    ...made.accounts.map(formatAccount),
    'Then try GET /api/patients?q=ann, /api/doctors?specialization=cardiology, /api/patients/{id}/doctors.',
    'A doctor sees the patients mapped to them, a patient themselves, an administrator everyone.',
  ].join('\n')
}

await runCommand(async () => {
  const { yes, ...wanted } = readOptions(process.argv.slice(2))
  const config = parseCommandConfig(process.env)
  if (config.NODE_ENV === 'production' && !yes)
    throw new CommandError(
      'This fills a production database with demo people and accounts of a known password. If that is meant, add --yes.',
    )
  const { addDemoData } = await loadDemo()
  return withDatabase(config, async ({ db, description }) => {
    // In production the files may be where a command does not reach, such as R2.
    const files = config.NODE_ENV === 'production' ? undefined : await openFileStore(config)
    const made = await addDemoData(db, wanted, files)
    printLine(formatSummary(description, made))
    return 0
  })
})
