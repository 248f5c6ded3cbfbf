const signals = ['SIGTERM', 'SIGINT'] as const

/** Within this many ms, signals are one: at Ctrl-C the terminal sends one, and npm, which gets it too, another. */
const together = 500

/** Calls `stop` once, when a signal says so. The next signal ends the process at once. */
export function whenToldToStop(stop: () => void): void {
  let told: number | undefined
  const tell = () => {
    if (told === undefined) {
      told = performance.now()
      stop()
    } else if (performance.now() - told > together) process.exit(1)
  }
  // Listened to for good: a container's first process is not ended by a signal that it does not listen to.
  for (const signal of signals) process.on(signal, tell)
}
