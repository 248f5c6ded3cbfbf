/** Mutants that change nothing anyone could notice, and why. `before` and `after` as the run prints them. */
export const equivalents: { file: string; before: string; after: string; reason: string }[] = []
