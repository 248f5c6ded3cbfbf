import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isListening } from '../../src/runtime/node/startup.ts'
import { freePort } from './port.ts'
import { until } from './program.ts'

const executable = process.env.PGBOUNCER ?? '/usr/sbin/pgbouncer'
/** Debian has it in its package `pgbouncer`. */
export const hasPgBouncer = existsSync(executable)

/**
 * A PgBouncer in transaction mode before the server at `url`, of at most `size` connections to each of its databases,
 * until `stop`. `url` is where its database of the same name is. What it ignores is what docs/deploy.md says to ignore.
 */
export async function pgBouncer(url: string, size: number): Promise<{ url: string; stop(): Promise<void> }> {
  const { hostname, port: serverPort, username, password } = new URL(url)
  const port = await freePort()
  const folder = await mkdtemp(join(tmpdir(), 'hospital-pgbouncer-'))
  const file = join(folder, 'pgbouncer.ini')
  const server = { host: hostname, port: serverPort || '5432', user: username, password: decodeURIComponent(password) }
  const target = Object.entries(server).flatMap(([name, value]) => (value ? [`${name}=${value}`] : []))
  const settings = [
    '[databases]',
    `* = ${target.join(' ')}`,
    '[pgbouncer]',
    'listen_addr = 127.0.0.1',
    `listen_port = ${port}`,
    'unix_socket_dir =',
    'auth_type = any',
    'pool_mode = transaction',
    `default_pool_size = ${size}`,
    'ignore_startup_parameters = statement_timeout, idle_in_transaction_session_timeout',
  ]
  await writeFile(file, `${settings.join('\n')}\n`, { mode: 0o600 })
  // It refuses to run as root, and reads its settings before it becomes somebody else.
  const as = process.getuid?.() === 0 ? ['-u', 'nobody'] : []
  const child = spawn(executable, [...as, file], { stdio: ['ignore', 'ignore', 'pipe'] })
  let output = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  const ended = once(child, 'close')
  const stop = async () => {
    child.kill('SIGTERM')
    await ended
    await rm(folder, { recursive: true })
  }
  const ready = async () => child.exitCode !== null || (await isListening(`postgres://127.0.0.1:${port}`))
  await until('PgBouncer to listen', ready, 20, () => output)
  if (child.exitCode !== null) throw new Error(`PgBouncer did not start:\n${output}`)
  const through = new URL(url)
  through.host = `127.0.0.1:${port}`
  return { url: through.href, stop }
}
