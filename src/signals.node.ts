const signals = ['SIGTERM', 'SIGINT'] as const

/** What the process that watches over several sends each, so that it stops. */
export const stopMessage = 'stop'

/** Within this many ms, signals are one: at Ctrl-C the terminal sends one, and npm, which gets it too, another. */
const together = 500

/** Calls `stop` once, when a signal or a message says so. A further signal ends the process at once. */
export function whenToldToStop(stop: () => void): void {
  let told: number | undefined
  const tell = () => {
    if (told !== undefined) return
    told = performance.now()
    stop()
  }
  // Listened to for good: a container's first process is not ended by a signal that it does not listen to.
  for (const signal of signals)
    process.on(signal, () => {
      if (told !== undefined && performance.now() - told > together) process.exit(1)
      tell()
    })
  process.on('message', (message) => message === stopMessage && tell())
}
