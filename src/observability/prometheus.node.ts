import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import manifest from '../../package.json' with { type: 'json' }
import type { PoolStats } from '../database/pool/connection-pool.ts'
import { bucketBoundsSeconds, type DurationSeries, type RequestDurations } from './request-durations.ts'

/** What is looked at when someone asks, and not counted before. */
export type GaugeSources = {
  /** Entries of the trail that are still to be written. */
  auditBacklog: () => number
  /** Entries of the trail that were lost since the start. */
  auditLost: () => number
  /** Passwords that wait to be hashed or checked. */
  passwordsWaiting: () => number
  pool?: () => PoolStats | undefined
  /** Whether requests can be sent to this process. */
  ready: () => Promise<boolean>
  /** Which commit the code is of, where that is known. */
  commit?: string | undefined
}

/** What was counted since the start. */
export type MetricCounts = { durations: RequestDurations; failedLogins: number; failedFiles: number }

const durationMetricName = 'http_request_duration_seconds'
const durationMetricHelp =
  'How long requests took until the head of their answer, by method, pattern of the route and status.'

/** Prometheus' histogram of one kind of request, in which each bucket holds those before it too. */
function toHistogramSamples({ method, route, status, counts, sum }: DurationSeries) {
  const sharedLabels = { method, route, status }
  let value = 0
  const buckets = counts.map((more, index) => {
    value += more
    return {
      metricName: `${durationMetricName}_bucket`,
      labels: { le: bucketBoundsSeconds[index] ?? '+Inf' },
      sharedLabels,
      value,
    }
  })
  const total = (what: string, value: number) => ({
    metricName: `${durationMetricName}_${what}`,
    labels: {},
    sharedLabels,
    value,
  })
  return [...buckets, total('sum', sum), total('count', value)]
}

/** A histogram that is counted elsewhere. */
class PrecountedHistogram extends Histogram {
  readonly #durations: RequestDurations

  constructor(durations: RequestDurations, registers: Registry[]) {
    super({ name: durationMetricName, help: durationMetricHelp, buckets: [...bucketBoundsSeconds], registers })
    this.#durations = durations
  }

  /** What the registry makes its text of, and prom-client's own `get` its JSON. */
  async getForPromString() {
    const values = [...this.#durations.values()].flatMap(toHistogramSamples)
    return { name: durationMetricName, help: durationMetricHelp, type: 'histogram', aggregator: 'sum', values }
  }
}

/** All figures of this process, as prom-client keeps them, with those of Node itself. */
export function createRegistry(counts: MetricCounts, sources: GaugeSources): Registry {
  const { auditBacklog, auditLost, passwordsWaiting, pool, ready, commit = 'unknown' } = sources
  const registry = new Registry()
  const registers = [registry]
  const addGauge = (name: string, help: string, value: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(value())
      },
    })
  new PrecountedHistogram(counts.durations, registers)
  const addCounter = (name: string, help: string, value: () => number) =>
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
  addCounter('http_server_errors_total', 'Requests that were answered with a status of 5xx.', () =>
    counts.durations.countByStatus(500, 599),
  )
  addCounter(
    'login_failures_total',
    'Sign-ins refused because of the e-mail address, the password or the account.',
    () => counts.failedLogins,
  )
  addCounter(
    'report_file_failures_total',
    'Files of reports that could not be kept, read or deleted: the store is full, read-only or away.',
    () => counts.failedFiles,
  )
  addCounter('audit_entries_lost_total', 'Entries of the trail that were not written and never will be.', auditLost)
  addGauge('audit_backlog_entries', 'Entries of the trail that are still to be written.', auditBacklog)
  addGauge('password_hashes_waiting', 'Passwords that wait to be hashed or checked.', passwordsWaiting)
  if (pool) {
    addGauge('db_pool_connections_in_use', 'Connections to PostgreSQL that are busy.', () => pool()?.inUse ?? 0)
    addGauge('db_pool_connections_max', 'Connections to PostgreSQL that there may be.', () => pool()?.max ?? 0)
    addGauge('db_pool_queries_waiting', 'Queries that wait for a connection.', () => pool()?.waiting ?? 0)
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
