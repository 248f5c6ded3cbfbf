import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, globSync, readFileSync, rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import postgres from 'postgres'
import { freePort } from './port.ts'
import { until } from './program.ts'

/** Where Debian keeps the programs of its newest PostgreSQL. */
const programs = globSync('/usr/lib/postgresql/*/bin')
  .toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true }))
  .at(-1)

/** Whether this machine can start a PostgreSQL server of the tests' own. */
export const hasPostgres = programs !== undefined

/** PostgreSQL refuses to run as root: then it runs as Debian's user for it. */
const runner = () => {
  if (process.getuid?.() !== 0) return {}
  const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }))
  return { uid: id('-u'), gid: id('-g') }
}

const parentOf = (file: string): number | undefined => {
  try {
    return Number(readFileSync(file, 'utf8').split(') ').at(-1)?.split(' ')[1])
  } catch {
    // It ended meanwhile.
    return undefined
  }
}

/** A PostgreSQL server that a test may do anything to. It writes to the disk like one in production. */
export class PostgresServer {
  readonly port: number
  readonly #folder: string
  readonly #settings: Record<string, string>
  #child: ChildProcess | undefined

  private constructor(folder: string, port: number, settings: Record<string, string>) {
    this.#folder = folder
    this.port = port
    this.#settings = settings
  }

  static async make(settings: Record<string, string> = {}): Promise<PostgresServer> {
    const folder = await mkdtemp(join(tmpdir(), 'hospital-postgres-'))
    const { uid, gid } = runner()
    if (uid !== undefined && gid !== undefined) chownSync(folder, uid, gid)
    const data = join(folder, 'data')
    execFileSync(`${programs}/initdb`, ['-D', data, '-U', 'postgres', '-A', 'trust', '-N'], {
      ...runner(),
      cwd: folder,
    })
    return new PostgresServer(folder, await freePort(), settings)
  }

  /** A standby of `primary`, as it is now, in the place of what this server had. */
  becomeStandbyOf(primary: PostgresServer): void {
    const data = join(this.#folder, 'data')
    rmSync(data, { recursive: true, force: true })
    const from = ['-h', '127.0.0.1', '-p', String(primary.port), '-U', 'postgres']
    execFileSync(`${programs}/pg_basebackup`, [...from, '-D', data, '-R', '-X', 'stream', '-c', 'fast', '-N'], {
      ...runner(),
      cwd: this.#folder,
    })
  }

  /** Ends being a standby: it takes writes from now on. */
  promote(): Promise<void> {
    return this.#run('select pg_promote()')
  }

  /** Whether a commit waits until a standby has it. */
  async requireSynchronousStandby(isRequired: boolean): Promise<void> {
    await this.#run(`alter system set synchronous_standby_names = '${isRequired ? '*' : ''}'`)
    await this.#run('select pg_reload_conf()')
  }

  async #run(statement: string): Promise<void> {
    const sql = postgres(this.url, { max: 1, onnotice: () => {} })
    await sql.unsafe(statement)
    await sql.end()
  }

  get url(): string {
    return this.urlThrough(this.port)
  }

  urlThrough(port: number): string {
    return `postgres://postgres@127.0.0.1:${port}/postgres`
  }

  /** Resolves once it answers. */
  async start(): Promise<void> {
    const settings = {
      port: String(this.port),
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      ...this.#settings,
    }
    const flags = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    this.#child = spawn(`${programs}/postgres`, ['-D', join(this.#folder, 'data'), ...flags], {
      ...runner(),
      cwd: this.#folder,
      stdio: 'ignore',
    })
    await until('PostgreSQL to answer', async () => {
      const sql = postgres(this.url, { max: 1, onnotice: () => {} })
      return sql`select 1`
        .then(
          () => true,
          () => false,
        )
        .finally(() => sql.end({ timeout: 1 }))
    })
  }

  /** `SIGINT` ends its clients in order, `SIGQUIT` is like a crash. Resolves once it is gone. */
  async stop(signal: 'SIGINT' | 'SIGQUIT' | 'SIGKILL'): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    if (signal === 'SIGKILL') this.signal('SIGKILL')
    else child.kill(signal)
    await gone
  }

  /** `SIGSTOP` freezes it with all its processes, `SIGCONT` lets them go on, `SIGKILL` ends them at once. */
  signal(signal: 'SIGSTOP' | 'SIGCONT' | 'SIGKILL'): void {
    const postmaster = this.#child?.pid
    if (postmaster === undefined) throw new Error('PostgreSQL is not running')
    // The postmaster first, so that it makes no further process.
    const children = () => globSync('/proc/[0-9]*/stat').filter((file) => parentOf(file) === postmaster)
    const known = children()
    process.kill(postmaster, signal)
    for (const file of new Set([...known, ...children()])) {
      try {
        process.kill(Number(file.split('/')[2]), signal)
      } catch {
        // It ended meanwhile.
      }
    }
  }

  async remove(): Promise<void> {
    await this.stop('SIGQUIT')
    await rm(this.#folder, { recursive: true })
  }
}
