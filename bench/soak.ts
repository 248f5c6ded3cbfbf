import { type Case, tokenFor } from './cases.ts'
import type { Size } from './data.ts'
import { median, memoryOf, wrk } from './load.ts'
import type { Server } from './servers.ts'

const turn = 10

/** Runs the cases in turn for so many minutes, says what the process holds in memory every minute, and whether it stays. */
export async function soak(server: Server, size: Size, cases: Case[], minutes: number, say: (line: string) => void) {
  const held: number[] = []
  const end = performance.now() + minutes * 60_000
  let minute = performance.now()
  while (performance.now() < end)
    for (const one of cases) {
      const token = await tokenFor(server, one.as)
      await wrk(server.url, await one.load(server, token, size), token, turn, 0)
      held.push(await memoryOf(server.pid))
      if (performance.now() < minute) continue
      say(`  ${Math.round(held.at(-1) ?? 0)} MiB`)
      minute += 60_000
    }
  const quarter = Math.ceil(held.length / 4)
  const [early, late] = [median(held.slice(quarter, 2 * quarter)), median(held.slice(-quarter))]
  const growth = `${(late - early).toFixed(0)} MiB`
  say(
    `Memory over ${minutes} minutes: ${late.toFixed(0)} MiB, most ${Math.max(...held).toFixed(0)}; ${growth} more in the last quarter than in the second.`,
  )
}
