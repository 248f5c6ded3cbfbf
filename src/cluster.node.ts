import cluster, { type Worker } from 'node:cluster'
import type { Config } from './config.ts'
import { nodeLog } from './http/log.node.ts'
import { shareMetrics } from './operation/metrics.cluster.node.ts'
import { stopMessage, whenToldToStop } from './signals.node.ts'

/** How long the processes may take to stop, in ms. */
const longest = 10_000
/** How long after one has died another is started, in ms; and after how many starts in vain none is. */
const pause = 1000
const attempts = 5

/** This process, where it is one of several that serve; undefined in the one that watches over them. */
export const { worker } = cluster

// One whose watcher is gone finishes what is under way; Node alone would end it at once.
worker?.on('disconnect', () => {
  worker.exitedAfterDisconnect = true
  process.emit('message', stopMessage, undefined)
})

/**
 * Starts as many processes as WEB_CONCURRENCY says, which share the port, and another for each that dies. Ends with them:
 * with 0 when it was told to stop and all have finished, with 1 when they cannot start.
 */
export function supervise(config: Config): void {
  const { log } = nodeLog(config, process.stdout, { pid: process.pid })
  shareMetrics()
  const workers = new Set<Worker>()
  let inVain = 0
  let started = false
  let exitCode: number | undefined

  /** Lets every process finish, then ends with `code`. */
  function stop(code: number): void {
    exitCode ??= code
    for (const one of workers) one.send(stopMessage, () => {})
    setTimeout(() => process.exit(1), longest)
    if (workers.size === 0) process.exit(exitCode)
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
      if (exitCode !== undefined) {
        if (code !== 0) exitCode = 1
        if (workers.size === 0) process.exit(exitCode)
        return
      }
      if (!served) inVain += 1
      if (!started || inVain >= attempts) {
        if (started) log.error({ msg: 'processes die as they start', worker: pid, code, signal })
        stop(1)
        return
      }
      log.error({ msg: 'a process died, another is started', worker: pid, code, signal })
      setTimeout(() => exitCode === undefined && launch(), pause)
    })
  }

  whenToldToStop(() => stop(0))
  // Nothing is left behind, whatever ends this one in order.
  process.on('exit', () => {
    for (const one of workers) one.process.kill('SIGKILL')
  })
  launch()
}
