import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type postgres from 'postgres'

const run = promisify(execFile)
const script = fileURLToPath(new URL('requests.lua', import.meta.url))

/** What is sent: requests.lua fills in `{id}`, `{n}` and `{q}` in path and body, numbers from 1 to `count` in steps of `step`. */
export type Load = {
  method: string
  path: string
  count?: number
  step?: number
  body?: string
  connections?: number
  /** Sent at the same time, and not measured. */
  beside?: Load
}

/** What one run came to. Times in µs: `p50` and `p99` of the answers, `cpu` and `databaseCpu` a request. `memory` in MiB. */
export type Sample = {
  requests: number
  perSecond: number
  p50: number
  p99: number
  cpu: number
  databaseCpu: number
  memory: number
}

/** µs in a tick of /proc/…/stat on Linux. */
const tick = 10_000

/** The time that a process and all its threads have spent on a processor, in µs. */
export async function cpuOf(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
  // The second field, the name, may hold spaces: the others are counted from its end.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * tick
}

/** What a process holds in memory, in MiB. */
export async function memoryOf(pid: number): Promise<number> {
  const [, kib] = /VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8')) ?? []
  return Number(kib) / 1024
}

/** The same of all the server's processes behind a database, where it runs on this machine; of one elsewhere, nothing. */
async function databaseCpu(sql: postgres.Sql): Promise<Map<number, number>> {
  const backends = await sql<{ pid: number }[]>`
    select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`
  const spent = await Promise.all(backends.map(async ({ pid }) => [pid, await cpuOf(pid).catch(() => 0)] as const))
  return new Map(spent)
}

/** Waits until a process has done all that it had left to do: it has not worked for `quiet` ms. */
async function settled(pid: number, quiet: number): Promise<void> {
  const end = performance.now() + 30_000
  for (let last = -1, since = performance.now(); performance.now() - since < quiet; await setTimeout(50)) {
    const cpu = await cpuOf(pid)
    if (cpu !== last) since = performance.now()
    if (performance.now() > end) return
    last = cpu
  }
}

/** Runs wrk once. @throws where an answer was an error, since what fails fast must not count as fast, or there was none */
export async function wrk(url: string, load: Load, token: string, seconds: number, least = 1) {
  const { method, path, count = 1, step = 1, body, connections = 32 } = load
  const { stdout } = await run('wrk', [
    ...['-t', '1', '-c', `${connections}`, '-d', `${seconds}s`, '--timeout', '30s', '-s', script, url, '--'],
    ...[method, path, `${count}`, `${step}`, token, ...(body ? [body] : [])],
  ])
  const [, ...numbers] = /^result (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)$/m.exec(stdout) ?? []
  const [requests = 0, duration = 1, p50 = 0, p99 = 0, refused = 0, failed = 0] = numbers.map(Number)
  if (requests < least || refused + failed > 0)
    throw new Error(`${method} ${path}: of ${requests} requests ${refused} were refused and ${failed} failed`)
  return { requests, perSecond: (requests * 1e6) / duration, p50, p99 }
}

/**
 * Puts a load on the process `pid`, which serves `url` from the database behind `sql`, and says what it took: also what
 * was done behind the answers, for which it may wait so many ms.
 */
export async function measure(
  { url, pid, sql, behind }: { url: string; pid: number; sql: postgres.Sql; behind: number },
  load: Load,
  token: string,
  seconds: number,
): Promise<Sample> {
  const [before, database] = [await cpuOf(pid), await databaseCpu(sql)]
  const beside = load.beside && wrk(url, load.beside, '', seconds + 1, 0)
  const result = await wrk(url, load, token, seconds)
  await beside
  await settled(pid, behind + 100)
  const [after, later] = [await cpuOf(pid), await databaseCpu(sql)]
  const spent = [...later].reduce((sum, [backend, cpu]) => sum + cpu - (database.get(backend) ?? 0), 0)
  return {
    ...result,
    cpu: (after - before) / result.requests,
    databaseCpu: spent / result.requests,
    memory: await memoryOf(pid),
  }
}

export const median = (values: number[]): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const [low = 0, high = 0] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]]
  return (low + high) / 2
}
