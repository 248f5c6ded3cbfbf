import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import manifest from '../../package.json' with { type: 'json' }
import type { PoolUse } from '../db/connections.ts'
import { bounds, type Durations, type Series } from './durations.ts'

/** What is looked at when someone asks, and not counted before. */
export type Levels = {
  /** Entries of the trail that are still to be written. */
  auditBacklog: () => number
  /** Entries of the trail that were lost since the start. */
  auditLost: () => number
  /** Passwords that wait to be hashed or checked. */
  passwordsWaiting: () => number
  pool?: () => PoolUse | undefined
  /** Whether requests can be sent to this process. */
  ready: () => Promise<boolean>
  /** Which commit the code is of, where that is known. */
  commit?: string | undefined
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
export function registryOf(counts: Counts, levels: Levels): Registry {
  const { auditBacklog, auditLost, passwordsWaiting, pool, ready, commit = 'unknown' } = levels
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
  // One series from the start: a rate does not see the first of a series that comes with it.
  counter('http_server_errors_total', 'Requests that were answered with a status of 5xx.', () =>
    counts.durations.answeredWith(500, 599),
  )
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
  counter('audit_entries_lost_total', 'Entries of the trail that were not written and never will be.', auditLost)
  level('audit_backlog_entries', 'Entries of the trail that are still to be written.', auditBacklog)
  level('password_hashes_waiting', 'Passwords that wait to be hashed or checked.', passwordsWaiting)
  if (pool) {
    level('db_pool_connections_in_use', 'Connections to PostgreSQL that are busy.', () => pool()?.inUse ?? 0)
    level('db_pool_connections_max', 'Connections to PostgreSQL that there may be.', () => pool()?.max ?? 0)
    level('db_pool_queries_waiting', 'Queries that wait for a connection.', () => pool()?.waiting ?? 0)
  }
  new Gauge({
    name: 'service_ready',
    help: 'Whether requests can be sent here, as /readyz says, at most 5 seconds ago: 1 or 0.',
    registers,
    // Of several processes on one port, all have to be.
    aggregator: 'min',
    async collect() {
      this.set((await ready()) ? 1 : 0)
    },
  })
  new Gauge({
    name: 'build_info',
    help: 'Always 1. The version and the commit of the code that runs.',
    registers,
    labelNames: ['version', 'commit'],
    aggregator: 'first',
  }).set({ version: manifest.version, commit }, 1)
  collectDefaultMetrics({ register: registry })
  return registry
}
