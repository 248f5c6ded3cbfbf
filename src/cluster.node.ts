import cluster, { type Worker } from 'node:cluster'
import type { Config } from './config.ts'
import { nodeLog } from './http/log.node.ts'
import { activatedSocket } from './http/socket-activation.node.ts'
import { shareMetrics } from './operation/metrics.cluster.node.ts'
import { type StopMessage, stopWhenTold } from './signals.node.ts'

/** How long the processes may take to stop, in ms. */
const stopTimeoutMs = 10_000
/** How long after one has ended another is started, in ms; and after how many starts in vain none is. */
const restartDelayMs = 1000
const attempts = 5

/** This process, where it is one of several that serve; undefined in the one that watches over them. */
export const { worker } = cluster

/** One that was told to stop while it did not yet listen to signals is ended by the signal. */
const endsInOrder = new Set(['SIGTERM', 'SIGINT', 'SIGHUP'])

/**
 * Starts as many processes as WEB_CONCURRENCY says, which share the port, and another for each that ends. Ends with them:
 * with 0 when it was told to stop and all have finished, with 1 when they cannot start.
 */
export function supervise(config: Config): void {
  const { log, flushed } = nodeLog(config, process.stdout, { pid: process.pid })
  const activated = activatedSocket(process.env, process.pid) !== undefined
  // Each process takes its connections itself: what this one took for them would be lost when all stop, and the socket is
  // to keep it for those that come next.
  if (activated) cluster.schedulingPolicy = cluster.SCHED_NONE
  shareMetrics()
  const workers = new Set<Worker>()
  const allEnded = Promise.withResolvers<void>()
  let inVain = 0
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
  const stopNow = stopWhenTold({ log, flushed, limitMs: stopTimeoutMs, stop })

  /** Why, now that a process has ended, no other is started; undefined where one is. */
  function reasonToEnd(inOrder: boolean): string | undefined {
    if ((!started && !inOrder) || inVain >= attempts) return 'processes die as they start'
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
      log.info({ msg: 'a process serves', worker: pid })
      served = true
      inVain = 0
      // The first one alone finds out whether it can be done, and tells it once.
      if (!started) for (let count = 1; count < config.WEB_CONCURRENCY; count += 1) launch()
      started = true
    })
    one.once('exit', (code, signal) => {
      workers.delete(one)
      const inOrder = code === 0 || endsInOrder.has(signal)
      if (stopping) {
        if (!inOrder) exitCode = 1
        if (workers.size === 0) allEnded.resolve()
        return
      }
      if (!inOrder && !served) inVain += 1
      const reason = reasonToEnd(inOrder)
      const then = reason ? '' : ', another is started'
      if (inOrder) log.info({ msg: `a process stopped${then}`, worker: pid })
      // The first one has said why it could not start.
      else if (started || signal) log.error({ msg: `a process died${then}`, worker: pid, code, signal })
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
