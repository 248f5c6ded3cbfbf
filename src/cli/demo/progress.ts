import { Presets, SingleBar } from 'cli-progress'

/** Fewer than this are there before a bar could be read. */
const minBarSteps = 1000

/** A bar on the terminal for work of `total` steps, where it takes long enough to be looked at. */
export function createProgressBar(total: number): { step(count: number): void; stop(): void } {
  if (!process.stdout.isTTY || total < minBarSteps) return { step: () => {}, stop: () => {} }
  const bar = new SingleBar(
    { format: '{bar} {value} of {total} patients, {eta_formatted} to go' },
    Presets.shades_classic,
  )
  bar.start(total, 0)
  return { step: (count) => bar.increment(count), stop: () => bar.stop() }
}
