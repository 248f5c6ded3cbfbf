import cluster, { type Worker } from 'node:cluster'
import { Problem } from '../http/problem.ts'

/**
 * What processes say to each other. A worker that was scraped asks with `scrape`; the primary asks each worker with
 * `tell`, which answers with its `figures`; and the one that was scraped is answered with the `text` of all.
 */
type MetricsMessage =
  | { metrics: 'scrape' | 'tell'; id: number }
  | { metrics: 'figures'; id: number; figures: object[] }
  | { metrics: 'text'; id: number; text: string }

const isMetricsMessage = (value: unknown): value is MetricsMessage =>
  typeof value === 'object' && value !== null && 'metrics' in value

/** How long a worker may take to tell its figures, in ms. One that does not counts with what it told last. */
const figuresTimeoutMs = 1000
/** How long a scrape may take in all, in ms: Prometheus waits for 10 s. */
const scrapeTimeoutMs = 3000

/** Figures that never go down. They outlive their process: a sum that fell would look like a start from nothing. */
const keepCounters = (figures: object[]) =>
  figures.filter((figure) => 'type' in figure && (figure.type === 'counter' || figure.type === 'histogram'))

/** When the service started: its processes come and go, and what they counted stays. */
const startTimeMetric = {
  name: 'process_start_time_seconds',
  help: 'Start time of the process since unix epoch in seconds.',
  type: 'gauge',
  aggregator: 'first',
  values: [{ value: Math.round(performance.timeOrigin / 1000), labels: {} }],
}

/** To a worker that may just be leaving: then there is nobody to tell. */
const sendToWorker = (worker: Worker, message: MetricsMessage) => void worker.send(message, () => {})

/**
 * In the primary process, once, before it forks: answers each worker that is scraped with the figures of all workers
 * as one.
 */
export function aggregateWorkerMetrics(): void {
  /** What each worker told last, and what those told that have ended. */
  const figuresByWorker = new Map<number, object[]>()
  let figuresOfEnded: object[] = []
  const rounds = new Map<number, { missing: Set<number>; done: () => void }>()
  let count = 0
  let aggregate: ((all: object[][]) => { metrics(): Promise<string>; getMetricsAsArray(): object[] }) | undefined

  async function scrape(): Promise<string> {
    if (!aggregate) {
      const { AggregatorRegistry } = await import('prom-client')
      aggregate = (all) => AggregatorRegistry.aggregate(all)
    }
    await collectFigures(Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined))
    return aggregate([[startTimeMetric], ...figuresByWorker.values(), figuresOfEnded]).metrics()
  }

  /** Resolves when all have told their figures, or time is up. */
  async function collectFigures(workers: Worker[]): Promise<void> {
    const id = count++
    const missing = new Set(workers.map((worker) => worker.id))
    const { promise, resolve: done } = Promise.withResolvers<void>()
    rounds.set(id, { missing, done })
    const timer = setTimeout(done, figuresTimeoutMs)
    for (const worker of workers) sendToWorker(worker, { metrics: 'tell', id })
    await promise
    clearTimeout(timer)
    rounds.delete(id)
  }

  function markArrived(worker: Worker, id: number): void {
    const round = rounds.get(id)
    round?.missing.delete(worker.id)
    if (round?.missing.size === 0) round.done()
  }

  cluster.on('message', (worker, message: unknown) => {
    if (!isMetricsMessage(message)) return
    const { id } = message
    if (message.metrics === 'scrape') void scrape().then((text) => sendToWorker(worker, { metrics: 'text', id, text }))
    if (message.metrics !== 'figures') return
    figuresByWorker.set(worker.id, message.figures)
    markArrived(worker, id)
  })

  cluster.on('exit', (worker) => {
    const last = figuresByWorker.get(worker.id)
    figuresByWorker.delete(worker.id)
    if (last && aggregate) figuresOfEnded = aggregate([figuresOfEnded, keepCounters(last)]).getMetricsAsArray()
    for (const id of rounds.keys()) markArrived(worker, id)
  })
}

/**
 * In a worker: tells the primary its `figures` whenever it asks. Gives what to answer a scrape with: the figures of all
 * workers, in Prometheus' text format.
 */
export function joinAggregatedMetrics(figures: () => Promise<object[]>): () => Promise<string> {
  const scrapes = new Map<number, (text: string) => void>()
  let count = 0
  const tell = (message: MetricsMessage) => void process.send?.(message, undefined, undefined, () => {})

  process.on('message', (message: unknown) => {
    if (!isMetricsMessage(message)) return
    const { id } = message
    if (message.metrics === 'tell') void figures().then((figures) => tell({ metrics: 'figures', id, figures }))
    if (message.metrics === 'text') scrapes.get(id)?.(message.text)
  })

  return async () => {
    const id = count++
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    scrapes.set(id, resolve)
    const late = () => reject(new Problem('unavailable', { headers: { 'Retry-After': '1' } }))
    const timer = setTimeout(late, scrapeTimeoutMs)
    tell({ metrics: 'scrape', id })
    return promise.finally(() => {
      clearTimeout(timer)
      scrapes.delete(id)
    })
  }
}
