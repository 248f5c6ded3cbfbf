import cluster from 'node:cluster'
import type { Logger } from '../../context.ts'

/** SIGHUP is what is sent where a terminal is closed. */
const stopSignals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const

/** What the first process sends each of several, so that it stops; `stop` says why. */
export type StopMessage = { stop: string }

const isStopMessage = (message: unknown): message is StopMessage =>
  typeof message === 'object' && message !== null && 'stop' in message && typeof message.stop === 'string'

/** Within this many ms, signals are one: at Ctrl-C the terminal sends one, and npm, which gets it too, another. */
const repeatedSignalMs = 500

type StopOptions = {
  logger: Logger
  flushLog(): Promise<void>
  /** How long `stop` may take, in ms. Then the process ends with 1. */
  timeoutMs: number
  /** Finishes what is under way, and resolves to the exit code. */
  stop(reason: string): Promise<number>
}

/**
 * Calls `stop` once, when a signal, the first of several processes or who calls what is returned says so, then ends this
 * process; and logs why it stops, that it has stopped, and after how many ms. A further signal ends it at once.
 */
export function stopOnSignal({ logger, flushLog, timeoutMs, stop }: StopOptions): (reason: string) => void {
  let stoppingSinceMs: number | undefined
  const startStopping = (reason: string, level: 'info' | 'error' = 'info') => {
    if (stoppingSinceMs !== undefined) return
    const start = performance.now()
    stoppingSinceMs = start
    const getElapsedMs = () => Math.round(performance.now() - start)
    logger[level]({ msg: 'stopping', reason })
    setTimeout(() => {
      logger.error({ msg: 'stopped before all was finished', ms: getElapsedMs() })
      process.exit(1)
    }, timeoutMs)
    const failed = (err: unknown) => {
      logger.error({ msg: 'stopping failed', err })
      return 1
    }
    void stop(reason)
      .catch(failed)
      .then(async (code) => {
        logger.info({ msg: 'stopped', ms: getElapsedMs() })
        await flushLog()
        process.exit(code)
      })
  }
  // Listened to for good: a container's first process is not ended by a signal that it does not listen to.
  for (const signal of stopSignals)
    process.on(signal, () => {
      if (stoppingSinceMs !== undefined && performance.now() - stoppingSinceMs > repeatedSignalMs) {
        logger.warn({ msg: 'ended at once by a second signal', signal })
        process.exit(1)
      }
      startStopping(signal)
    })
  process.on('message', (message) => isStopMessage(message) && startStopping(message.stop))
  const { worker } = cluster
  worker?.once('disconnect', () => {
    // Node itself would end it at once, with what is under way.
    worker.exitedAfterDisconnect = true
    startStopping('the first process has ended', 'error')
  })
  return startStopping
}
