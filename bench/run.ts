import { deepStrictEqual as deepEqual } from 'node:assert'
import { parseArgs } from 'node:util'
import { type Case, cases, tokenFor } from './cases.ts'
import { database, idOf, type Size } from './data.ts'
import { type Load, measure, median, type Sample, wrk } from './load.ts'
import { ask, type Server, type SystemName, start } from './servers.ts'
import { type Row, table } from './table.ts'

const say = (line: string) => process.stdout.write(`${line}\n`)
const usage = `npm run bench -- [--quick] [--only get,list] [--rounds 3] [--seconds 5] [--size 10k|1m|both] [--fresh]
BENCH_DATABASE_URL: a PostgreSQL server on which databases may be made.`

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    size: { type: 'string' },
    fresh: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
const server = process.env.BENCH_DATABASE_URL
if (options.help || !server) {
  say(usage)
  process.exit(options.help ? 0 : 1)
}

const { quick } = options
const rounds = Number(options.rounds ?? (quick ? 1 : 3))
const seconds = Number(options.seconds ?? (quick ? 2 : 5))
const asked = options.size ?? (quick ? '10k' : 'both')
const sizesAsked: Size[] = asked === 'both' ? ['1m', '10k'] : asked === '1m' ? ['1m'] : ['10k']
const only = options.only?.split(',')
const chosen = cases.filter(({ name, slow }) => (only ? only.includes(name) : !(quick && slow)))
if (chosen.length === 0) throw new Error(`--only: one or more of ${cases.map(({ name }) => name).join(', ')}`)

/** A system on a database of some size: the peers on the first size alone, ours on all. */
type Entry = { size: Size; server: Server }
const entries: Entry[] = []
for (const [place, size] of sizesAsked.entries()) {
  const url = await database(server, size, options.fresh, say)
  const systems: SystemName[] = place > 0 ? ['ours'] : quick ? ['bare', 'ours'] : ['bare', 'ours', 'fastify']
  for (const name of systems) entries.push({ size, server: await start(name, url) })
}

/** Medians over the rounds, one figure at a time. */
const medians = (samples: Sample[]): Sample => {
  const of = (figure: keyof Sample) => median(samples.map((sample) => sample[figure]))
  return {
    requests: of('requests'),
    perSecond: of('perSecond'),
    p50: of('p50'),
    p99: of('p99'),
    cpu: of('cpu'),
    databaseCpu: of('databaseCpu'),
    memory: of('memory'),
  }
}

type Run = { entry: Entry; token: string; load: Load; samples: Sample[] }

/** @throws where systems on the same database do not answer the same: then they do not do the same work either */
async function needSameAnswers(runs: Run[]): Promise<void> {
  const [first, ...others] = runs.filter(({ entry: { size } }) => size === sizesAsked[0])
  const told = async ({ entry, load: { path, step = 1 }, token }: Run) => {
    const { next: _, ...answer } = await ask<{ next?: string }>(
      entry.server,
      path.replace('{id}', idOf('patients', step)),
      token,
    )
    return answer
  }
  for (const other of others) deepEqual(first && (await told(first)), await told(other), other.entry.server.name)
}

/** Measures a case on every system in turn, round after round, so that a slow minute of the machine is everyone's. */
async function compare(one: Case): Promise<Row[]> {
  const runs: Run[] = []
  for (const entry of entries.filter(({ server: { name } }) => one.systems.includes(name))) {
    const token = await tokenFor(entry.server, one.as)
    const load = await one.load(entry.server, token, entry.size)
    runs.push({ entry, token, load, samples: [] })
    // Warm: compiled, prepared and cached.
    await wrk(entry.server.url, load, token, 1, 0)
  }
  if (!one.name.startsWith('create') && one.as === 'admin') await needSameAnswers(runs)
  for (let round = 0; round < rounds; round += 1)
    for (const { entry, token, load, samples } of runs) samples.push(await measure(entry.server, load, token, seconds))
  return runs.map(({ entry: { size, server }, samples }) => ({ size, system: server.name, ...medians(samples) }))
}

try {
  say(`${rounds} rounds of ${seconds} s, 32 connections, medians.\n`)
  for (const one of chosen) say(table(one, await compare(one)))
} finally {
  for (const { server } of entries) await server.stop()
}
