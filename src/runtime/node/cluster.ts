import cluster, { type Worker } from 'node:cluster'
import type { Config } from '../../config.ts'
import { createNodeLogger } from '../../observability/logger.node.ts'
import { aggregateWorkerMetrics } from '../../observability/metrics.cluster.node.ts'
import { type StopMessage, stopOnSignal } from './signals.ts'
import { getActivatedSocket } from './socket-activation.ts'

/** How long the processes may take to stop, in ms. */
const workersStopTimeoutMs = 10_000
/** How long after one has ended another is started, in ms; and after how many starts in vain none is. */
const restartDelayMs = 1000
const maxFailedStarts = 5

/** This process, where it is one of several that serve; undefined in the one that watches over them. */
export const { worker } = cluster

/** One that was told to stop while it did not yet listen to signals is ended by the signal. */
const orderlySignals = new Set(['SIGTERM', 'SIGINT', 'SIGHUP'])

/**
 * Starts as many processes as WEB_CONCURRENCY says, which share the port, and another for each that ends. Ends with them:
 * with 0 when it was told to stop and all have finished, with 1 when they cannot start.
 */
export function superviseWorkers(config: Config): void {
  const { logger, flushAndWait } = createNodeLogger(config, process.stdout, { pid: process.pid })
  const activated = getActivatedSocket(process.env, process.pid) !== undefined
  // Each process takes its connections itself: what this one took for them would be lost when all stop, and the socket is
  // to keep it for those that come next.
  if (activated) cluster.schedulingPolicy = cluster.SCHED_NONE
  aggregateWorkerMetrics()
  const workers = new Set<Worker>()
  const allEnded = Promise.withResolvers<void>()
  let failedStarts = 0
  let started = false
  let stopping = false
  let exitCode = 0

  /** Lets every process finish. */
  async function stop(reason: string): Promise<number> {
    stopping = true
    const message: StopMessage = { stop: reason }
    for (const one of workers) one.send(message, () => {})
    if (workers.size === 0) allEnded.resolve()
    await allEnded.promise
    return exitCode
  }
  const stopNow = stopOnSignal({ logger, flushLog: flushAndWait, timeoutMs: workersStopTimeoutMs, stop })

  /** Why, now that a process has ended, no other is started; undefined where one is. */
  function findReasonToEnd(isOrderly: boolean): string | undefined {
    if ((!started && !isOrderly) || failedStarts >= maxFailedStarts) return 'processes die as they start'
    // Node closes it with the last that has it.
    if (activated && workers.size === 0) return 'no process has the socket of systemd any more'
    return undefined
  }

  function launch(): void {
    const one = cluster.fork()
    const { pid } = one.process
    workers.add(one)
    let served = false
    one.once('listening', () => {
      logger.info({ msg: 'a process serves', worker: pid })
      served = true
      failedStarts = 0
      // The first one alone finds out whether it can be done, and tells it once.
      if (!started) for (let count = 1; count < config.WEB_CONCURRENCY; count += 1) launch()
      started = true
    })
    one.once('exit', (code, signal) => {
      workers.delete(one)
      const isOrderly = code === 0 || orderlySignals.has(signal)
      if (stopping) {
        if (!isOrderly) exitCode = 1
        if (workers.size === 0) allEnded.resolve()
        return
      }
      if (!isOrderly && !served) failedStarts += 1
      const reason = findReasonToEnd(isOrderly)
      const then = reason ? '' : ', another is started'
      if (isOrderly) logger.info({ msg: `a process stopped${then}`, worker: pid })
      // The first one has said why it could not start.
      else if (started || signal) logger.error({ msg: `a process died${then}`, worker: pid, code, signal })
      if (reason) {
        exitCode = 1
        if (!started) process.exit(exitCode)
        stopNow(reason)
        return
      }
      setTimeout(() => stopping || launch(), restartDelayMs)
    })
  }

  // Nothing is left behind, whatever ends this one in order.
  process.on('exit', () => {
    for (const one of workers) one.process.kill('SIGKILL')
  })
  launch()
}
