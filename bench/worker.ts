import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import postgres from 'postgres'
import { password, sizes } from './data.ts'
import { measure, median, type Sample, wrk } from './load.ts'
import { ask, unlimited } from './servers.ts'

const run = promisify(execFile)
const fromHere = (path: string) => fileURLToPath(new URL(path, import.meta.url))
const wrangler = (...args: string[]) =>
  run(fromHere('../node_modules/.bin/wrangler'), args, {
    cwd: fromHere('..'),
    env: { ...process.env, WRANGLER_SEND_METRICS: 'false', NO_COLOR: '1' },
  })

type Options = Record<string, unknown>
type Workerd = { ready: Promise<URL>; dispose(): Promise<void> }
/** What wrangler itself runs Workers with, without wrangler's proxy in front. */
const {
  Miniflare,
  convertV4MiniflareOptions,
}: {
  Miniflare: new (options: unknown) => Workerd
  convertV4MiniflareOptions: (options: Options) => unknown
} = createRequire(createRequire(import.meta.url).resolve('wrangler'))('miniflare')

/** The processes of workerd that this one has started. */
async function workerds(): Promise<number[]> {
  const { stdout } = await run('ps', ['--no-headers', '-o', 'pid=,ppid=,comm=', '-e'])
  const rows = stdout.split('\n').map((line) => line.trim().split(/\s+/))
  return rows
    .filter(([, parent, name]) => name === 'workerd' && Number(parent) === process.pid)
    .map(([pid]) => Number(pid))
}

/** Bundles a Worker as for production. `size` is what wrangler says it weighs, gzipped, in KiB. */
async function bundle(config: string) {
  const folder = await mkdtemp(join(tmpdir(), 'hospital-bench-worker-'))
  const { stdout } = await wrangler('deploy', '--dry-run', '--config', config, '--outdir', folder)
  // The main module first.
  const files = (await readdir(folder)).toSorted((a, b) => Number(b.endsWith('.js')) - Number(a.endsWith('.js')))
  const modules = files.flatMap((name) => {
    const path = join(folder, name)
    return name.endsWith('.js')
      ? [{ type: 'ESModule', path }]
      : name.endsWith('.wasm')
        ? [{ type: 'CompiledWasm', path }]
        : []
  })
  return { folder, modules, size: Number(/gzip: ([\d.]+) KiB/.exec(stdout)?.[1]) }
}

/** Runs a bundle in workerd alone. */
async function serve({ folder, modules }: Awaited<ReturnType<typeof bundle>>, database: string, bindings: Options) {
  const url = new URL(database)
  // Without a password it is no connection string to it; a server that trusts ignores it.
  url.password ||= 'none'
  const before = await workerds()
  const worker = new Miniflare(
    convertV4MiniflareOptions({
      ...{ modules, modulesRoot: folder, bindings, port: 0, host: '127.0.0.1' },
      ...{ compatibilityDate: '2026-11-01', compatibilityFlags: ['nodejs_compat'] },
      ...{ hyperdrives: { HYPERDRIVE: url.href }, r2Buckets: ['REPORTS'], handleStructuredLogs: () => {} },
    }),
  )
  const ready = await worker.ready
  const [pid = 0] = (await workerds()).filter((one) => !before.includes(one))
  return { url: ready.origin, pid, stop: () => worker.dispose() }
}

type Profile = { nodes: { id: number; callFrame: { functionName: string } }[]; samples: number[]; timeDeltas: number[] }

/** The ms that a Worker's start takes, its code compiled and run, on this machine. */
async function startUp(config: string, folder: string): Promise<number> {
  const file = join(folder, 'startup.cpuprofile')
  await wrangler('check', 'startup', '--config', config, '--outfile', file)
  const { nodes, samples, timeDeltas }: Profile = JSON.parse(await readFile(file, 'utf8'))
  const idle = nodes.filter(({ callFrame }) => callFrame.functionName === '(idle)').map(({ id }) => id)
  const active = samples.reduce((sum, id, at) => sum + (idle.includes(id) ? 0 : (timeDeltas[at] ?? 0)), 0)
  return active / 1000
}

/** What the Worker weighs, how long it takes to start, and a GET of it in workerd beside the bare one. */
export async function compareWorkers(database: string, rounds: number, seconds: number, say: (line: string) => void) {
  const configs = { ours: fromHere('../wrangler.toml'), bare: fromHere('peers/worker/wrangler.toml') }
  const [ours, bare] = [await bundle(configs.ours), await bundle(configs.bare)]
  say(`Worker: ${ours.size} KiB gzipped (goal: under 220).`)
  const starts: { ours: number[]; bare: number[] } = { ours: [], bare: [] }
  for (let round = 0; round < rounds; round += 1) {
    starts.bare.push(await startUp(configs.bare, bare.folder))
    starts.ours.push(await startUp(configs.ours, ours.folder))
  }
  const [start, bareStart] = [median(starts.ours).toFixed(0), median(starts.bare).toFixed(0)]
  say(`Its start-up on this machine: ${start} ms (goal: under 50); of the bare one: ${bareStart} ms.`)

  const sql = postgres(database, { max: 1, onnotice: () => {} })
  const secret = randomBytes(32).toString('base64url')
  const workers = [
    await serve(bare, database, {}),
    await serve(ours, database, { NODE_ENV: 'production', JWT_SECRET: secret, LOG_LEVEL: 'info', ...unlimited }),
  ]
  try {
    const runs: { server: (typeof workers)[number]; token: string; samples: Sample[] }[] = []
    for (const server of workers) {
      const signIn = { email: 'staff.1@example.org', password }
      const { access = '' } =
        server === workers[0] ? {} : await ask<{ access: string }>(server, '/api/auth/login', '', signIn)
      runs.push({ server, token: access, samples: [] })
    }
    const load = { method: 'GET', path: '/api/patients/{id}', count: sizes['10k'], connections: 8 }
    for (const { server, token } of runs) await wrk(server.url, load, token, 2)
    for (let round = 0; round < rounds; round += 1)
      for (const { server, token, samples } of runs)
        samples.push(await measure({ ...server, sql, behind: 0 }, load, token, seconds))
    const of = (place: number, figure: 'perSecond' | 'cpu') =>
      median(runs[place]?.samples.map((sample) => sample[figure]) ?? [])
    for (const [place, name] of ['bare', 'ours'].entries())
      say(`${name.padStart(8)}  ${of(place, 'perSecond').toFixed(0)} req/s  ${of(place, 'cpu').toFixed(0)} CPU µs`)
    say(
      `A GET in workerd beside the bare one (goal: 0.80): × req/s ${(of(1, 'perSecond') / of(0, 'perSecond')).toFixed(2)}, × CPU ${(of(0, 'cpu') / of(1, 'cpu')).toFixed(2)}`,
    )
  } finally {
    for (const worker of workers) await worker.stop()
    await sql.end()
  }
}
