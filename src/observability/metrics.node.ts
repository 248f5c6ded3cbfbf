import cluster from 'node:cluster'
import type { Metrics } from '../context.ts'
import { joinAggregatedMetrics } from './metrics.cluster.node.ts'
import type { GaugeSources, MetricCounts } from './prometheus.node.ts'
import { RequestDurations } from './request-durations.ts'

/**
 * Keeps the figures of this process. prom-client takes long to load and so is loaded when they are first asked for. One
 * of several workers answers with the figures of all of them.
 */
export function createNodeMetrics(sources: GaugeSources): Metrics {
  const counts: MetricCounts = { durations: new RequestDurations(), failedLogins: 0, failedFiles: 0 }
  const load = async () => (await import('./prometheus.node.ts')).createRegistry(counts, sources)
  let registryPromise: ReturnType<typeof load> | undefined
  const registry = () => {
    registryPromise ??= load()
    return registryPromise
  }
  return {
    recordRequest: (method, route, status, seconds) => counts.durations.observe(method, route, status, seconds),
    countFailedLogin: () => {
      counts.failedLogins += 1
    },
    countFileStoreFailure: () => {
      counts.failedFiles += 1
    },
    exposition: cluster.isWorker
      ? joinAggregatedMetrics(async () => (await registry()).getMetricsAsJSON())
      : async () => (await registry()).metrics(),
  }
}
