import type { Case } from './cases.ts'
import type { Size } from './data.ts'
import type { Sample } from './load.ts'
import type { SystemName } from './servers.ts'

/** What was measured of a system; of pgbench, no more than how often. */
export type Row = { system: SystemName | 'pgbench'; size: Size; perSecond: number } & Partial<Sample>

const columns = ['', 'size', 'req/s', 'p50 ms', 'p99 ms', 'CPU µs', 'db µs', 'MiB', '× req/s', '× CPU', 'goal']
const widths = [8, 4, 8, 8, 8, 8, 8, 5, 8, 8, 8]
const line = (cells: string[]) => cells.map((cell, at) => cell.padStart(widths[at] ?? 0)).join('  ')
const whole = (value: number | undefined) => value?.toFixed(0) ?? ''
const ms = (us: number | undefined) => (us === undefined ? '' : (us / 1000).toFixed(us < 10_000 ? 2 : 0))
const ratio = (of: number | undefined, to: number | undefined) => (of && to ? (of / to).toFixed(2) : '')

const allOf = (row: Row | undefined) =>
  row?.cpu !== undefined && row.databaseCpu !== undefined ? row.cpu + row.databaseCpu : undefined

/**
 * A case's figures. Ours is the measure: the ratios of another row say how many times as much of it ours does in the
 * same time (req/s), and on the same time of the processor (CPU). The last row, of the smaller database, turns that
 * round: how many times as much work each request is on the larger one, the database's included.
 */
export function table({ title, goal }: Case, rows: Row[]): string {
  const ours = rows.find(({ system }) => system === 'ours')
  const goalOf = ({ system }: Row) => (system === 'bare' || system === 'fastify' ? goal[system]?.toFixed(2) : undefined)
  const body = rows.map((row) => {
    const measured = [
      ...[row.system, row.size, whole(row.perSecond), ms(row.p50), ms(row.p99)],
      ...[whole(row.cpu), whole(row.databaseCpu), whole(row.memory)],
    ]
    if (row === ours) return line([...measured, '', '', goal.p99 ? `p99 < ${goal.p99}` : ''])
    if (row.system === 'ours') {
      const grown = [ratio(row.perSecond, ours?.perSecond), ratio(allOf(ours), allOf(row))]
      return line([...measured, ...grown, goal.size ? `< ${goal.size.toFixed(2)}` : ''])
    }
    return line([...measured, ratio(ours?.perSecond, row.perSecond), ratio(row.cpu, ours?.cpu), goalOf(row) ?? ''])
  })
  return [title, line(columns), ...body, ''].join('\n')
}
