import { passwordFaults } from '../auth/passwords.ts'
import { Register } from '../auth/schema.ts'
import type { Config } from '../config.ts'
import { configureCommand } from '../setup.ts'
import { addAccount } from './accounts.ts'
import { run, say, withDatabase } from './command.ts'
import { CommandError } from './failure.ts'
import { type Ask, pipedLines, withQuestions } from './prompt.ts'

const { name: Name, email: Email, password: Password } = Register.shape
type Field = typeof Name | typeof Email | typeof Password
type Account = { name: string; email: string; password: string }

const labels: Record<string, string> = { name: 'The name', email: 'The e-mail address', password: 'The password' }

/** What is wrong with an account, a sentence each: the rules of registration. */
function faultsOf(config: Config, account: Account): string[] {
  const checked = Register.safeParse(account)
  const faults = checked.success
    ? passwordFaults(config, 'password', checked.data.password, checked.data)
    : checked.error.issues.map(({ path, message }) => ({ path: path.join('.'), message }))
  return faults.map(({ path, message }) => `${labels[path] ?? path}: ${message}.`)
}

/** Asks until the answer is good. */
async function askFor(ask: Ask, question: string, field: Field): Promise<string> {
  for (;;) {
    const { data, error } = field.safeParse(await ask(question))
    if (data !== undefined) return data
    say(`  ${error?.issues[0]?.message}`)
  }
}

const askForAccount = (config: Config) =>
  withQuestions(async (ask) => {
    const name = await askFor(ask, 'Name: ', Name)
    const email = await askFor(ask, 'E-mail address: ', Email)
    for (;;) {
      const password = await ask('Password (it is not shown): ', { hidden: true })
      const faults = faultsOf(config, { name, email, password })
      if (faults.length > 0) say(faults.map((fault) => `  ${fault}`).join('\n'))
      else if ((await ask('The same password again: ', { hidden: true })) === password) return { name, email, password }
      else say('  The two are not the same.')
    }
  })

async function readAccount(config: Config): Promise<Account> {
  const [name, email, password, again = password, ...more] = await pipedLines()
  if (name === undefined || email === undefined || password === undefined || more.length > 0)
    throw new CommandError('Pipe three lines into this command: the name, the e-mail address, and the password.')
  if (again !== password) throw new CommandError('The two passwords are not the same.')
  const account = { name, email, password }
  const faults = faultsOf(config, account)
  if (faults.length > 0) throw new CommandError(faults.join('\n'))
  return account
}

await run(async () => {
  if (process.argv.length > 2)
    throw new CommandError('This command takes no arguments, since others can read them: it asks for what it needs.')
  const config = configureCommand(process.env)
  const account = Register.parse(await (process.stdin.isTTY ? askForAccount(config) : readAccount(config)))
  return withDatabase(config, async ({ db, name }) => {
    const id = await addAccount(db, 'create-admin', { ...account, role: 'admin' })
    if (!id) throw new CommandError(`An account with the e-mail address ${account.email} exists already.`)
    say(`${account.email} is now an administrator in ${name}.`)
    return 0
  })
})
