import cluster from 'node:cluster'
import { Durations } from './durations.ts'
import { joinMetrics } from './metrics.cluster.node.ts'
import type { Metrics } from './metrics.ts'
import type { Counts, Levels } from './prometheus.node.ts'

/**
 * Keeps the figures of this process. prom-client takes long to load and so is loaded when they are first asked for. One
 * of several workers answers with the figures of all of them.
 */
export function nodeMetrics(levels: Levels): Metrics {
  const counts: Counts = { durations: new Durations(), failedLogins: 0, failedFiles: 0 }
  const load = async () => (await import('./prometheus.node.ts')).registryOf(counts, levels)
  let loading: ReturnType<typeof load> | undefined
  const registry = () => {
    loading ??= load()
    return loading
  }
  return {
    answered: (method, route, status, seconds) => counts.durations.observe(method, route, status, seconds),
    loginFailed: () => {
      counts.failedLogins += 1
    },
    fileStoreFailed: () => {
      counts.failedFiles += 1
    },
    exposition: cluster.isWorker
      ? joinMetrics(async () => (await registry()).getMetricsAsJSON())
      : async () => (await registry()).metrics(),
  }
}
