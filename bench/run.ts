import { mkdir } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { type Case, cases } from './cases.ts'
import { compare, type Entry } from './compare.ts'
import { database, type Size } from './data.ts'
import { memoryOf } from './load.ts'
import { profileOf } from './profile.ts'
import { type SystemName, start } from './servers.ts'
import { soak } from './soak.ts'
import { startUp } from './startup.ts'
import { table } from './table.ts'
import { compareWorkers } from './worker.ts'

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
/** The sizes that are measured: the peers on the first alone, ours on each. */
const sizesOf: Record<string, Size[]> = { both: ['1m', '10k'], '1m': ['1m'], '10k': ['10k'] }
const sizes = sizesOf[options.size ?? (quick || options.soak || options.worker ? '10k' : 'both')]
const only = options.only?.split(',')
const chosen: Case[] = cases.filter(({ name, slow }) => (only ? only.includes(name) : !(quick && slow)))
if (!sizes || chosen.length === 0) throw new Error(usage)

const urls = new Map<Size, string>()
for (const size of sizes) urls.set(size, await database(postgres, size, options.fresh, say))
const [size = '10k'] = sizes
const url = urls.get(size) ?? ''

/** Every path on every system in turn, then what only a whole process can be asked for. */
async function compareAll(): Promise<void> {
  const profiles = 'dist/profiles'
  if (options.profile) await mkdir(profiles, { recursive: true })
  const entries: Entry[] = []
  const add = async (name: SystemName, size: Size, flags: string[] = []) =>
    entries.push({ size, server: await start(name, urls.get(size) ?? '', flags) })
  const systems: SystemName[] = quick ? ['bare', 'ours'] : ['bare', 'ours', 'fastify']
  try {
    for (const name of systems)
      await add(name, size, options.profile && name === 'ours' ? ['--cpu-prof', `--cpu-prof-dir=${profiles}`] : [])
    for (const other of sizes?.slice(1) ?? []) await add('ours', other)
    say(`${rounds} rounds of ${seconds} s, 32 connections, medians.\n`)
    for (const one of chosen) say(table(one, await compare(one, entries, quick ? '' : url, rounds, seconds)))
    for (const { server, size } of entries)
      say(`Memory at the end: ${server.name} ${size} ${(await memoryOf(server.pid)).toFixed(0)} MiB`)
  } finally {
    for (const { server } of entries) await server.stop()
  }
  if (options.profile) say(`\n${await profileOf(profiles)}`)
  if (only || quick) return
  for (const name of ['bare', 'ours', 'fastify'] as const)
    say(`From start to the first answer: ${name} ${(await startUp(name, url, 2 * rounds - 1)).toFixed(0)} ms`)
}

if (options.soak) {
  const server = await start('ours', url)
  await soak(server, size, chosen, Number(options.soak), say).finally(() => server.stop())
} else if (options.worker) await compareWorkers(url, rounds, seconds, say)
else await compareAll()
