import cluster from 'node:cluster'
import type { Log } from './http/log.ts'

/** SIGHUP is what is sent where a terminal is closed. */
const signals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const

/** What the first process sends each of several, so that it stops; `stop` says why. */
export type StopMessage = { stop: string }

const isStopMessage = (message: unknown): message is StopMessage =>
  typeof message === 'object' && message !== null && 'stop' in message && typeof message.stop === 'string'

/** Within this many ms, signals are one: at Ctrl-C the terminal sends one, and npm, which gets it too, another. */
const sameSignalMs = 500

type Parts = {
  log: Log
  flushed(): Promise<void>
  /** How long `stop` may take, in ms. Then the process ends with 1. */
  limitMs: number
  /** Finishes what is under way, and resolves to the exit code. */
  stop(reason: string): Promise<number>
}

/**
 * Calls `stop` once, when a signal, the first of several processes or who calls what is returned says so, then ends this
 * process; and logs why it stops, that it has stopped, and after how many ms. A further signal ends it at once.
 */
export function stopWhenTold({ log, flushed, limitMs, stop }: Parts): (reason: string) => void {
  let toldAt: number | undefined
  const tell = (reason: string, level: 'info' | 'error' = 'info') => {
    if (toldAt !== undefined) return
    const start = performance.now()
    toldAt = start
    const took = () => Math.round(performance.now() - start)
    log[level]({ msg: 'stopping', reason })
    setTimeout(() => {
      log.error({ msg: 'stopped before all was finished', ms: took() })
      process.exit(1)
    }, limitMs)
    const failed = (err: unknown) => {
      log.error({ msg: 'stopping failed', err })
      return 1
    }
    void stop(reason)
      .catch(failed)
      .then(async (code) => {
        log.info({ msg: 'stopped', ms: took() })
        await flushed()
        process.exit(code)
      })
  }
  // Listened to for good: a container's first process is not ended by a signal that it does not listen to.
  for (const signal of signals)
    process.on(signal, () => {
      if (toldAt !== undefined && performance.now() - toldAt > sameSignalMs) {
        log.warn({ msg: 'ended at once by a second signal', signal })
        process.exit(1)
      }
      tell(signal)
    })
  process.on('message', (message) => isStopMessage(message) && tell(message.stop))
  const { worker } = cluster
  worker?.once('disconnect', () => {
    // Node itself would end it at once, with what is under way.
    worker.exitedAfterDisconnect = true
    tell('the first process has ended', 'error')
  })
  return tell
}
