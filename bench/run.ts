import { parseArgs } from 'node:util'
import { type Case, cases } from './cases.ts'
import { compare, type Entry } from './compare.ts'
import { database, type Size } from './data.ts'
import { memoryOf } from './load.ts'
import { profileOf } from './profile.ts'
import { isInstalled, type SystemName, start } from './servers.ts'
import { soak } from './soak.ts'
import { startUp } from './startup.ts'
import { table } from './table.ts'
import { compareWorkers } from './worker.ts'

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))

const say = (line: string) => process.stdout.write(`${line}\n`)
const usage =
  'npm run bench -- [--quick] [--only get,list] [--rounds 3] [--seconds 5] [--size 10k|1m|both] [--fresh] [--profile] [--soak 10] [--worker]'

const text = { type: 'string' } as const
const flag = { type: 'boolean', default: false } as const
const { values: options } = parseArgs({
  options: {
    ...{ quick: flag, fresh: flag, profile: flag, worker: flag, help: flag },
    ...{ only: text, rounds: text, seconds: text, size: text, soak: text },
  },
})
const postgres = process.env.BENCH_DATABASE_URL ?? ''
if (options.help || !postgres) {
  say(`${usage}\nBENCH_DATABASE_URL: a PostgreSQL server on which databases may be made. More in bench/README.md.`)
  process.exit(options.help ? 0 : 1)
}

const { quick } = options
const rounds = Number(options.rounds ?? (quick ? 1 : 3))
const seconds = Number(options.seconds ?? (quick ? 2 : 5))
const sizesOf: Record<string, Size[]> = { both: ['1m', '10k'], '1m': ['1m'], '10k': ['10k'] }
const sizesAsked = sizesOf[options.size ?? (quick || options.soak || options.worker ? '10k' : 'both')] ?? []
const only = options.only?.split(',')
const wanted = (name: string, slow: boolean) => (only ? only.includes(name) : !(quick && slow))
const chosen: Case[] = cases.filter(({ name, slow }) => wanted(name, slow !== undefined))
const starts = wanted('start', true)
if (sizesAsked.length === 0 || (chosen.length === 0 && !starts)) {
  say(`${usage}\nOf --only: ${[...cases.map(({ name }) => name), 'start'].join(', ')}.`)
  process.exit(1)
}

const urls = new Map<Size, string>()
for (const size of sizesAsked) urls.set(size, await database(postgres, size, options.fresh, say))
const [size = '10k'] = sizesAsked
const url = urls.get(size) ?? ''

/** The peers are measured on one database; Fastify is installed apart from the project. */
const systems: SystemName[] = quick || !isInstalled('fastify') ? ['bare', 'ours'] : ['bare', 'ours', 'fastify']
if (!quick && !systems.includes('fastify')) say('Fastify is left out. For it: npm ci --prefix bench/peers/fastify')

const profiles = 'dist/profiles'

/** Every path on every system in turn. */
async function compareAll(): Promise<void> {
  const entries: Entry[] = []
  const add = async (name: SystemName, of: Size, flags: string[] = []) =>
    entries.push({ size: of, server: await start(name, urls.get(of) ?? '', flags) })
  const profiled = options.profile ? ['--cpu-prof', `--cpu-prof-dir=${profiles}`] : []
  try {
    for (const name of systems) await add(name, size, name === 'ours' ? profiled : [])
    for (const other of sizesAsked.slice(1)) await add('ours', other)
    say(`${rounds} rounds of ${seconds} s, 32 connections, medians.\n`)
    for (const one of chosen) say(table(one, await compare(one, entries, quick ? '' : url, rounds, seconds)))
    for (const { server, size } of entries)
      say(`Memory at the end: ${server.name} ${size} ${(await memoryOf(server.pid)).toFixed(0)} MiB`)
  } finally {
    for (const { server } of entries) await server.stop()
  }
  if (options.profile) say(`\n${await profileOf(profiles)}`)
}

/** From the start of each process to its first answer. */
async function compareStarts(): Promise<void> {
  for (const name of systems) {
    const { ms, cpu } = await startUp(name, url, 2 * rounds - 1)
    say(`From start to the first answer: ${name} ${ms.toFixed(0)} ms, of the processor ${cpu.toFixed(0)} ms`)
  }
}

if (options.soak) {
  const server = await start('ours', url)
  await soak(
    server,
    size,
    chosen.filter(({ name }) => name !== 'beside'),
    Number(options.soak),
    say,
  ).finally(() => server.stop())
} else if (options.worker) await compareWorkers(url, rounds, seconds, say)
else {
  if (chosen.length > 0) await compareAll()
  if (starts) await compareStarts()
}
