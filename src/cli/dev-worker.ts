import { existsSync } from 'node:fs'
import { devNull } from 'node:os'
import { join } from 'node:path'
import type { Config } from '../config.ts'
import { loadConfig } from '../runtime/node/startup.ts'
import { printLine, runCommand, withDatabase } from './command.ts'
import { runTool } from './run-tool.ts'

/** What wrangler itself needs of the environment; the rest is none of the Worker's. */
const passedVariablePattern = /^(PATH|HOME|TMPDIR|LANG|TERM|CI|NO_COLOR|FORCE_COLOR|(CLOUDFLARE|WRANGLER|XDG)_\w+)$/

/** The environment that wrangler gives to the Worker as secrets, whose values it never prints: no file, no argument. */
function buildWorkerEnvironment(config: Config, database: string): NodeJS.ProcessEnv {
  const passed = Object.entries(process.env).filter(([name]) => passedVariablePattern.test(name) || name in config)
  // Wrangler insists on a password; the embedded database and a trusting server ignore it.
  const url = new URL(database)
  url.password ||= 'none'
  return {
    ...Object.fromEntries(passed),
    NODE_ENV: config.NODE_ENV,
    JWT_SECRET: config.JWT_SECRET,
    CLOUDFLARE_HYPERDRIVE_LOCAL_CONNECTION_STRING_HYPERDRIVE: url.href,
    CLOUDFLARE_INCLUDE_PROCESS_ENV: 'true',
    CLOUDFLARE_CF_FETCH_ENABLED: 'false',
    WRANGLER_SEND_METRICS: 'false',
    WRANGLER_HIDE_BANNER: 'true',
  }
}

await runCommand(async () => {
  const config = await loadConfig(process.env)
  const port = process.env.PORT ? config.PORT : 8787
  return withDatabase(config, async ({ url, description, lost }) => {
    printLine(`The Worker's data is in ${description}.`)
    const settings = existsSync('.dev.vars') ? '.dev.vars' : devNull
    const args = ['dev', '--ip', config.HOST, '--port', `${port}`, '--inspector-port', '0', '--env-file', settings]
    const kept = ['--persist-to', join(config.DATA_DIR, 'worker')]
    return runTool(
      'wrangler',
      [...args, ...kept, '--show-interactive-dev-session=false'],
      buildWorkerEnvironment(config, url),
      lost,
    )
  })
})
