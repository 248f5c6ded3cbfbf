/** The upper bounds of the buckets, in seconds: Prometheus' own. */
export const bucketBoundsSeconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10] as const

/** How long requests of one kind took: `counts` has one more than there are bounds, for those beyond the last. */
export type DurationSeries = {
  readonly method: string
  readonly route: string
  readonly status: number
  readonly counts: number[]
  /** In seconds. */
  sum: number
}

/** How long requests took, in plain numbers: a request costs a look into a map and two additions. */
export class RequestDurations {
  readonly #series = new Map<string, DurationSeries>()

  observe(method: string, route: string, status: number, seconds: number): void {
    const key = `${method} ${status} ${route}`
    let series = this.#series.get(key)
    if (!series) {
      series = { method, route, status, counts: Array<number>(bucketBoundsSeconds.length + 1).fill(0), sum: 0 }
      this.#series.set(key, series)
    }
    let bucket = 0
    while (bucket < bucketBoundsSeconds.length && seconds > (bucketBoundsSeconds[bucket] ?? 0)) bucket += 1
    series.counts[bucket] = (series.counts[bucket] ?? 0) + 1
    series.sum += seconds
  }

  /** How many requests were answered with a status from `minStatus` to `maxStatus`. */
  countByStatus(minStatus: number, maxStatus: number): number {
    let total = 0
    for (const { status, counts } of this.#series.values())
      if (status >= minStatus && status <= maxStatus) for (const count of counts) total += count
    return total
  }

  values(): IterableIterator<DurationSeries> {
    return this.#series.values()
  }
}
