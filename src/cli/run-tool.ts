import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { findPackageJSON } from 'node:module'
import { dirname, join } from 'node:path'
import { CommandError } from './command-error.ts'

/** How long a tool may take to stop, in ms. */
const toolStopTimeoutMs = 5000

/** Where an installed package describes itself. */
function findPackageFile(name: string): string | undefined {
  try {
    return findPackageJSON(name, import.meta.url)
  } catch {
    return undefined
  }
}

/** The script behind a package's command. */
function findPackageScript(name: string): string {
  const file = findPackageFile(name)
  if (!file) throw new CommandError(`${name} is not installed: run npm ci without --omit=dev.`)
  const { bin }: { bin: string | Record<string, string> } = JSON.parse(readFileSync(file, 'utf8'))
  const script = typeof bin === 'string' ? bin : bin[name]
  if (!script) throw new Error(`${name} has no command of its name`)
  return join(dirname(file), script)
}

/** Sends to the tool and to all that it has started: they are a group of processes of their own. */
function signalGroup(tool: ChildProcess, name: NodeJS.Signals): void {
  try {
    if (tool.pid) process.kill(-tool.pid, name)
  } catch {
    // All of them have ended.
  }
}

/**
 * Runs a package's command until it ends, or is ended by a signal to this process or by `stopSignal`. None of its
 * processes is left behind. Tells its exit code: 0 where a signal ended it, 1 where `stopSignal` did.
 */
export async function runTool(
  name: string,
  args: string[],
  env: NodeJS.ProcessEnv,
  stopSignal = new AbortController().signal,
): Promise<number> {
  const tool = spawn(process.execPath, [findPackageScript(name), ...args], {
    env,
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true,
  })
  let isStopping = false
  const end = () => {
    // Asked a second time, it is not asked.
    if (isStopping) return signalGroup(tool, 'SIGKILL')
    isStopping = true
    tool.kill('SIGTERM')
    setTimeout(() => signalGroup(tool, 'SIGKILL'), toolStopTimeoutMs).unref()
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
  for (const each of signals) process.on(each, end)
  stopSignal.addEventListener('abort', end, { once: true })
  const [code] = await once(tool, 'exit')
  signalGroup(tool, 'SIGKILL')
  for (const each of signals) process.off(each, end)
  if (stopSignal.aborted) return 1
  return isStopping ? 0 : Number(code ?? 1)
}
