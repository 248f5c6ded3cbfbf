import cluster, { type Worker } from 'node:cluster'
import { Problem } from '../http/problem.ts'

/**
 * What processes say to each other. A worker that was scraped asks with `scrape`; the primary asks each worker with
 * `tell`, which answers with its `figures`; and the one that was scraped is answered with the `text` of all.
 */
type Message =
  | { metrics: 'scrape' | 'tell'; id: number }
  | { metrics: 'figures'; id: number; figures: object[] }
  | { metrics: 'text'; id: number; text: string }

const isMessage = (value: unknown): value is Message =>
  typeof value === 'object' && value !== null && 'metrics' in value

/** How long a worker may take to tell its figures, in ms. One that does not counts with what it told last. */
const patience = 1000
/** How long a scrape may take in all, in ms: Prometheus waits for 10 s. */
const limit = 3000

/** Figures that never go down. They outlive their process: a sum that fell would look like a start from nothing. */
const lasting = (figures: object[]) =>
  figures.filter((figure) => 'type' in figure && (figure.type === 'counter' || figure.type === 'histogram'))

/** When the service started: its processes come and go, and what they counted stays. */
const started = {
  name: 'process_start_time_seconds',
  help: 'Start time of the process since unix epoch in seconds.',
  type: 'gauge',
  aggregator: 'first',
  values: [{ value: Math.round(performance.timeOrigin / 1000), labels: {} }],
}

/** To a worker that may just be leaving: then there is nobody to tell. */
const say = (worker: Worker, message: Message) => void worker.send(message, () => {})

/**
 * In the primary process, once, before it forks: answers each worker that is scraped with the figures of all workers
 * as one.
 */
export function shareMetrics(): void {
  /** What each worker told last, and what those told that have ended. */
  const told = new Map<number, object[]>()
  let ended: object[] = []
  const rounds = new Map<number, { missing: Set<number>; done: () => void }>()
  let count = 0
  let sum: ((all: object[][]) => { metrics(): Promise<string>; getMetricsAsArray(): object[] }) | undefined

  async function scrape(): Promise<string> {
    if (!sum) {
      const { AggregatorRegistry } = await import('prom-client')
      sum = (all) => AggregatorRegistry.aggregate(all)
    }
    await ask(Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined))
    return sum([[started], ...told.values(), ended]).metrics()
  }

  /** Resolves when all have told their figures, or time is up. */
  async function ask(workers: Worker[]): Promise<void> {
    const id = count++
    const missing = new Set(workers.map((worker) => worker.id))
    const { promise, resolve: done } = Promise.withResolvers<void>()
    rounds.set(id, { missing, done })
    const timer = setTimeout(done, patience)
    for (const worker of workers) say(worker, { metrics: 'tell', id })
    await promise
    clearTimeout(timer)
    rounds.delete(id)
  }

  function arrived(worker: Worker, id: number): void {
    const round = rounds.get(id)
    round?.missing.delete(worker.id)
    if (round?.missing.size === 0) round.done()
  }

  cluster.on('message', (worker, message: unknown) => {
    if (!isMessage(message)) return
    const { id } = message
    if (message.metrics === 'scrape') void scrape().then((text) => say(worker, { metrics: 'text', id, text }))
    if (message.metrics !== 'figures') return
    told.set(worker.id, message.figures)
    arrived(worker, id)
  })

  cluster.on('exit', (worker) => {
    const last = told.get(worker.id)
    told.delete(worker.id)
    if (last && sum) ended = sum([ended, lasting(last)]).getMetricsAsArray()
    for (const id of rounds.keys()) arrived(worker, id)
  })
}

/**
 * In a worker: tells the primary its `figures` whenever it asks. Gives what to answer a scrape with: the figures of all
 * workers, in Prometheus' text format.
 */
export function joinMetrics(figures: () => Promise<object[]>): () => Promise<string> {
  const scrapes = new Map<number, (text: string) => void>()
  let count = 0
  const tell = (message: Message) => void process.send?.(message, undefined, undefined, () => {})

  process.on('message', (message: unknown) => {
    if (!isMessage(message)) return
    const { id } = message
    if (message.metrics === 'tell') void figures().then((figures) => tell({ metrics: 'figures', id, figures }))
    if (message.metrics === 'text') scrapes.get(id)?.(message.text)
  })

  return async () => {
    const id = count++
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    scrapes.set(id, resolve)
    const late = () => reject(new Problem('unavailable', { headers: { 'Retry-After': '1' } }))
    const timer = setTimeout(late, limit)
    tell({ metrics: 'scrape', id })
    return promise.finally(() => {
      clearTimeout(timer)
      scrapes.delete(id)
    })
  }
}
