import { deepStrictEqual as needSame } from 'node:assert'
import { type Case, tokenFor } from './cases.ts'
import { idOf, type Size } from './data.ts'
import { type Load, measure, median, type Sample, wrk } from './load.ts'
import { pgbench } from './pgbench.ts'
import { ask, type Server } from './servers.ts'
import type { Row } from './table.ts'

/** A system on a database of some size. */
export type Entry = { size: Size; server: Server }
type Run = { entry: Entry; token: string; load: Load; samples: Sample[] }

/** Medians over the rounds, one figure at a time. */
function medians(samples: Sample[]): Sample {
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

/** @throws where systems on the same database do not answer the same: then they do not do the same work either */
async function needSameAnswers(runs: Run[], size: Size): Promise<void> {
  const told = async ({ entry, load: { path, step = 1 }, token }: Run) => {
    const filled = path.replace('{id}', idOf('patients', step)).replace('{q}', 'ann')
    const { next: _, ...answer } = await ask<{ next?: string }>(entry.server, filled, token)
    return answer
  }
  const [first, ...others] = runs.filter(({ entry, load }) => entry.size === size && load.method === 'GET')
  for (const other of others) needSame(first && (await told(first)), await told(other), other.entry.server.name)
}

/**
 * Measures a case on every system in turn, round after round, so that a slow minute of the machine is everyone's; and
 * its statement alone with pgbench on the database at `url`, where that is not empty.
 */
export async function compare(
  one: Case,
  entries: Entry[],
  url: string,
  rounds: number,
  seconds: number,
): Promise<Row[]> {
  const runs: Run[] = []
  for (const entry of entries.filter(({ server: { name } }) => one.systems.includes(name))) {
    const token = await tokenFor(entry.server, one.as)
    const load = await one.load(entry.server, token, entry.size)
    runs.push({ entry, token, load, samples: [] })
    // Warm: compiled, prepared and cached.
    await wrk(entry.server.url, load, token, 1, 0)
  }
  const size = entries[0]?.size ?? '10k'
  await needSameAnswers(runs, size)
  const alone: number[] = []
  for (let round = 0; round < rounds; round += 1) {
    for (const { entry, token, load, samples } of runs)
      samples.push(await measure(entry.server, load, token, Math.max(seconds, one.slow ?? 0)))
    const perSecond = url && (await pgbench(one.name, url, size, seconds))
    if (perSecond) alone.push(perSecond)
  }
  const rows: Row[] = runs.map(({ entry: { size, server }, samples }) => ({
    size,
    system: server.name,
    ...medians(samples),
  }))
  return alone.length > 0 ? [{ size, system: 'pgbench', perSecond: median(alone) }, ...rows] : rows
}
