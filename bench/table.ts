import type { Case } from './cases.ts'
import type { Size } from './data.ts'
import type { Sample } from './load.ts'
import type { SystemName } from './servers.ts'

export type Row = Sample & { system: SystemName; size: Size }

const columns = ['', 'size', 'req/s', 'p50 ms', 'p99 ms', 'CPU µs', 'db µs', 'MiB', '× req/s', '× CPU', 'goal']
const widths = [8, 4, 8, 8, 8, 8, 8, 5, 8, 8, 8]
const line = (cells: string[]) => cells.map((cell, at) => cell.padStart(widths[at] ?? 0)).join('  ')
const ms = (us: number) => (us / 1000).toFixed(us < 10_000 ? 2 : 0)
const ratio = (of: number, to: number | undefined) => (to ? (of / to).toFixed(2) : '')

/**
 * A case's figures. Ours is the measure: the ratios of another row say how many times as much of it ours does in the
 * same time (req/s), and on the same time of the processor (CPU).
 */
export function table({ title, goal }: Case, rows: Row[]): string {
  const ours = rows.find(({ system }) => system === 'ours')
  const body = rows.map((row) => {
    const { system, size } = row
    const wanted = system !== 'ours' ? goal[system] : row !== ours ? goal.size : undefined
    const p99 = row === ours && goal.p99 ? `p99 < ${goal.p99}` : ''
    return line([
      system,
      size,
      Math.round(row.perSecond).toString(),
      ms(row.p50),
      ms(row.p99),
      Math.round(row.cpu).toString(),
      Math.round(row.databaseCpu).toString(),
      Math.round(row.memory).toString(),
      row === ours ? '' : ratio(ours?.perSecond ?? 0, row.perSecond),
      row === ours ? '' : ratio(row.cpu, ours?.cpu),
      wanted ? wanted.toFixed(2) : p99,
    ])
  })
  return [title, line(columns), ...body, ''].join('\n')
}
