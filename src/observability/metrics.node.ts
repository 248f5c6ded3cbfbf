import cluster from 'node:cluster'
import type { Metrics } from '../context.ts'
import { joinAggregatedMetrics } from './metrics.cluster.node.ts'
import type { GaugeSources, ProcessMetrics } from './prometheus.node.ts'

/**
 * Keeps the figures of this process. prom-client takes long to load, and so is loaded with the first request, whose
 * answer does not wait for it. One of several workers answers with the figures of all of them.
 */
export function createNodeMetrics(sources: GaugeSources): Metrics {
  let loading: Promise<ProcessMetrics> | undefined
  const load = () => {
    loading ??= import('./prometheus.node.ts').then(({ createProcessMetrics }) => createProcessMetrics(sources))
    return loading
  }
  const whenLoaded = (count: (metrics: ProcessMetrics) => void) => void load().then(count)
  return {
    recordRequest: (method, route, status, seconds) =>
      whenLoaded(({ durationHistogram, serverErrorCounter }) => {
        durationHistogram.observe({ method, route, status }, seconds)
        if (status >= 500) serverErrorCounter.inc()
      }),
    countFailedLogin: () => whenLoaded(({ failedLoginCounter }) => failedLoginCounter.inc()),
    countFileStoreFailure: () => whenLoaded(({ failedFileCounter }) => failedFileCounter.inc()),
    exposition: cluster.isWorker
      ? joinAggregatedMetrics(async () => (await load()).registry.getMetricsAsJSON())
      : async () => (await load()).registry.metrics(),
  }
}
