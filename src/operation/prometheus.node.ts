import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { PoolUse } from '../db/connections.ts'
import { bounds, type Durations, type Series } from './durations.ts'

/** What is looked at when someone asks, and not counted before. */
export type Levels = {
  /** Entries of the trail that are still to be written. */
  auditBacklog: () => number
  /** Passwords that wait to be hashed or checked. */
  passwordsWaiting: () => number
  pool?: () => PoolUse | undefined
}

/** What was counted since the start. */
export type Counts = { durations: Durations; failedLogins: number; failedFiles: number }

const name = 'http_request_duration_seconds'
const help = 'How long requests took until the head of their answer, by method, pattern of the route and status.'

/** Prometheus' histogram of one kind of request, in which each bucket holds those before it too. */
function samplesOf({ method, route, status, counts, sum }: Series) {
  const sharedLabels = { method, route, status }
  let value = 0
  const buckets = counts.map((more, index) => {
    value += more
    return { metricName: `${name}_bucket`, labels: { le: bounds[index] ?? '+Inf' }, sharedLabels, value }
  })
  const total = (what: string, value: number) => ({ metricName: `${name}_${what}`, labels: {}, sharedLabels, value })
  return [...buckets, total('sum', sum), total('count', value)]
}

/** A histogram that is counted elsewhere. */
class CountedElsewhere extends Histogram {
  readonly #durations: Durations

  constructor(durations: Durations, registers: Registry[]) {
    super({ name, help, buckets: [...bounds], registers })
    this.#durations = durations
  }

  /** What the registry makes its text of, and prom-client's own `get` its JSON. */
  async getForPromString() {
    const values = [...this.#durations.all()].flatMap(samplesOf)
    return { name, help, type: 'histogram', aggregator: 'sum', values }
  }
}

/** All figures of this process, as prom-client keeps them, with those of Node itself. */
export function registryOf(counts: Counts, { auditBacklog, passwordsWaiting, pool }: Levels): Registry {
  const registry = new Registry()
  const registers = [registry]
  const level = (name: string, help: string, value: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value())
      },
    })
  new CountedElsewhere(counts.durations, registers)
  const counter = (name: string, help: string, value: () => number) =>
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset()
        this.inc(value())
      },
    })
  counter(
    'login_failures_total',
    'Sign-ins refused because of the e-mail address, the password or the account.',
    () => counts.failedLogins,
  )
  counter(
    'report_file_failures_total',
    'Files of reports that could not be kept, read or deleted: the store is full, read-only or away.',
    () => counts.failedFiles,
  )
  level('audit_backlog_entries', 'Entries of the trail that are still to be written.', auditBacklog)
  level('password_hashes_waiting', 'Passwords that wait to be hashed or checked.', passwordsWaiting)
  if (pool) {
    level('db_pool_connections_in_use', 'Connections to PostgreSQL that are busy.', () => pool()?.inUse ?? 0)
    level('db_pool_connections_max', 'Connections to PostgreSQL that there may be.', () => pool()?.max ?? 0)
    level('db_pool_queries_waiting', 'Queries that wait for a connection.', () => pool()?.waiting ?? 0)
  }
  collectDefaultMetrics({ register: registry })
  return registry
}
