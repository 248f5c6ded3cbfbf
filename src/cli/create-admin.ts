import type { Config } from '../config.ts'
import { findPasswordErrors } from '../features/auth/passwords.ts'
import { RegisterRequest } from '../features/auth/schema.ts'
import { parseCommandConfig } from '../runtime/node/startup.ts'
import { addAccount } from './accounts.ts'
import { printLine, runCommand, withDatabase } from './command.ts'
import { CommandError } from './command-error.ts'
import { type Ask, readPipedLines, withQuestions } from './prompt.ts'

const { name: nameSchema, email: emailSchema, password: passwordSchema } = RegisterRequest.shape
type AccountFieldSchema = typeof nameSchema | typeof emailSchema | typeof passwordSchema
type NewAdmin = { name: string; email: string; password: string }

const fieldLabels: Record<string, string> = { name: 'The name', email: 'The e-mail address', password: 'The password' }

/** What is wrong with an account, a sentence each: the rules of registration. */
function findAccountFaults(config: Config, account: NewAdmin): string[] {
  const checked = RegisterRequest.safeParse(account)
  const faults = checked.success
    ? findPasswordErrors(config, 'password', checked.data.password, checked.data)
    : checked.error.issues.map(({ path, message }) => ({ path: path.join('.'), message }))
  return faults.map(({ path, message }) => `${fieldLabels[path] ?? path}: ${message}.`)
}

/** Asks until the answer is good. */
async function askUntilValid(ask: Ask, question: string, field: AccountFieldSchema): Promise<string> {
  for (;;) {
    const { data, error } = field.safeParse(await ask(question))
    if (data !== undefined) return data
    printLine(`  ${error?.issues[0]?.message}`)
  }
}

const askForAccount = (config: Config) =>
  withQuestions(async (ask) => {
    const name = await askUntilValid(ask, 'Name: ', nameSchema)
    const email = await askUntilValid(ask, 'E-mail address: ', emailSchema)
    for (;;) {
      const password = await ask('Password (it is not shown): ', { hidden: true })
      const faults = findAccountFaults(config, { name, email, password })
      if (faults.length > 0) printLine(faults.map((fault) => `  ${fault}`).join('\n'))
      else if ((await ask('The same password again: ', { hidden: true })) === password) return { name, email, password }
      else printLine('  The two are not the same.')
    }
  })

async function readPipedAccount(config: Config): Promise<NewAdmin> {
  const [name, email, password, again = password, ...more] = await readPipedLines()
  if (name === undefined || email === undefined || password === undefined || more.length > 0)
    throw new CommandError('Pipe three lines into this command: the name, the e-mail address, and the password.')
  if (again !== password) throw new CommandError('The two passwords are not the same.')
  const account = { name, email, password }
  const faults = findAccountFaults(config, account)
  if (faults.length > 0) throw new CommandError(faults.join('\n'))
  return account
}

await runCommand(async () => {
  if (process.argv.length > 2)
    throw new CommandError('This command takes no arguments, since others can read them: it asks for what it needs.')
  const config = parseCommandConfig(process.env)
  const account = RegisterRequest.parse(await (process.stdin.isTTY ? askForAccount(config) : readPipedAccount(config)))
  return withDatabase(config, async ({ db, description }) => {
    const id = await addAccount(db, 'create-admin', { ...account, role: 'admin' })
    if (!id) throw new CommandError(`An account with the e-mail address ${account.email} exists already.`)
    printLine(`${account.email} is now an administrator in ${description}.`)
    return 0
  })
})
