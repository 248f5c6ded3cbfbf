import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { afterAll } from 'vitest'
import { Answer, secret, uncounted } from './api.ts'
import { expectDocumented } from './documented.ts'

type Settings = Record<string, string>
const running = new Set<Program>()

/** A process of this project's own, with no settings but those given to it. Requests are not counted unless these say so. */
export class Program {
  readonly #child: ChildProcess
  readonly #ended: Promise<unknown[]>
  /** All that it has printed. */
  output = ''

  /** `socket` is the descriptor of a listening socket that it is handed, as systemd does (sd_listen_fds(3)). */
  constructor(script: string, settings: Settings, args: string[] = [], input?: string, socket?: number) {
    const { PATH = '', HOME = '' } = process.env
    const env = { PATH, HOME, ...uncounted, ...settings }
    const command = ['node_modules/.bin/node', script, ...args]
    // A process learns its own number only once it runs.
    const activated = ['-c', 'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@"', 'sh', ...command]
    this.#child =
      socket === undefined
        ? spawn('node_modules/.bin/node', [script, ...args], { env })
        : spawn('sh', activated, { env, stdio: ['pipe', 'pipe', 'pipe', socket] })
    this.#ended = once(this.#child, 'close')
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text
      })
    this.#child.stdin?.end(input)
    running.add(this)
    void this.#ended.then(() => running.delete(this))
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null
  }

  /** The first match of `pattern` in what it prints; fails where it ends, or `seconds` go by, without. */
  async said(pattern: RegExp, seconds = 60): Promise<string> {
    await until(
      `${pattern} to be printed`,
      () => this.ended || pattern.test(this.output),
      seconds,
      () => this.output,
    )
    // What it printed last may arrive after its end is known.
    if (this.ended) await this.#ended
    const [match] = pattern.exec(this.output) ?? []
    if (match === undefined) throw new Error(`${pattern} was never printed:\n${this.output}`)
    return match
  }

  /** Its exit code, once it has ended and all it printed has arrived; null where a signal ended it. */
  async exit(): Promise<number | null> {
    await this.#ended
    return this.#child.exitCode
  }

  /** Reads nothing more of what it prints: its next write finds a broken pipe. */
  hangUp(): void {
    this.#child.stdout?.destroy()
  }

  kill(signal: NodeJS.Signals = 'SIGTERM'): void {
    this.#child.kill(signal)
  }
}

/** Waits for a condition, looked at again and again, and not for a time. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  seconds = 20,
  more = () => '',
): Promise<void> {
  for (const end = Date.now() + seconds * 1000; !(await condition()); await setTimeout(20))
    if (Date.now() > end) throw new Error(`waited ${seconds} s for ${what}\n${more()}`)
}

/** A folder of the test file's own, gone after its tests. */
export async function ownFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hospital-run-'))
  afterAll(async () => {
    for (const program of running) program.kill('SIGKILL')
    await Promise.all([...running].map((program) => program.exit()))
    await rm(folder, { recursive: true, force: true })
  })
  return folder
}

/** Sends JSON to a server over the network. */
export async function send(
  method: string,
  url: string,
  body?: unknown,
  token?: string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(url, {
    method,
    headers: { 'Content-Type': 'application/json', ...(token && { Authorization: `Bearer ${token}` }), ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(20_000),
  })
  const answer = new Answer(response.status, response.headers, await response.text())
  expectDocumented(method, url, answer.status, answer.headers, answer.body)
  return answer
}

/**
 * Starts the API as in production, on the database at `database`; `more` are settings beside those that it needs, `socket`
 * is what it is handed to listen on.
 */
export async function startNode(database: string, folder: string, more: Settings = {}, socket?: number) {
  const needed = { NODE_ENV: 'production', JWT_SECRET: secret, REPORTS_DIR: join(folder, 'reports'), PORT: '0' }
  const settings = { ...needed, DATABASE_URL: database, ...more }
  const program = new Program(
    '--import',
    settings,
    ['./src/runtime/node/preload.ts', 'src/runtime/node/main.ts'],
    undefined,
    socket,
  )
  const [, port] = /(\d+)/.exec(await program.said(/(?<=port\W+)\d+/)) ?? []
  /** Tells it to stop and gives its exit code. */
  const stop = () => {
    program.kill()
    return program.exit()
  }
  return { program, url: `http://127.0.0.1:${port}`, stop }
}
