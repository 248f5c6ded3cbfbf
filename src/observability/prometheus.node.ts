import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import manifest from '../../package.json' with { type: 'json' }
import type { PoolStats } from '../database/pool/connection-pool.ts'

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

/** The figures of a process, and those of them that are counted as it happens. */
export type ProcessMetrics = {
  registry: Registry
  durationHistogram: Histogram<'method' | 'route' | 'status'>
  serverErrorCounter: Counter
  failedLoginCounter: Counter
  failedFileCounter: Counter
}

/** Makes all figures of this process, with those of Node itself. */
export function createProcessMetrics(sources: GaugeSources): ProcessMetrics {
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
  const durationHistogram = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'How long requests took until the head of their answer, by method, pattern of the route and status.',
    labelNames: ['method', 'route', 'status'],
    registers,
  })
  // One series from the start: a rate does not see the first of a series that comes with it.
  const serverErrorCounter = new Counter({
    name: 'http_server_errors_total',
    help: 'Requests that were answered with a status of 5xx.',
    registers,
  })
  const failedLoginCounter = new Counter({
    name: 'login_failures_total',
    help: 'Sign-ins refused because of the e-mail address, the password or the account.',
    registers,
  })
  const failedFileCounter = new Counter({
    name: 'report_file_failures_total',
    help: 'Files of reports that could not be kept, read or deleted: the store is full, read-only or away.',
    registers,
  })
  new Counter({
    name: 'audit_entries_lost_total',
    help: 'Entries of the trail that were not written and never will be.',
    registers,
    collect() {
      this.reset()
      this.inc(auditLost())
    },
  })
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
  return { registry, durationHistogram, serverErrorCounter, failedLoginCounter, failedFileCounter }
}
