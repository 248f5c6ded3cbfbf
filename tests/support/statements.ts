import type { Database } from '../../src/context.ts'

/** A statement as the driver sends it. */
export type Sent = { text: string; parameters: unknown[] }

/**
 * All statements that go to the database while `act` runs; with those of a transaction its beginning and its end.
 * For a pool of one connection: each has a client of its own.
 */
export async function statementsOf<T>(db: Database, act: () => Promise<T>): Promise<{ result: T; sent: Sent[] }> {
  const sent: Sent[] = []
  const debug = (_connection: number, text: string, parameters: unknown[]) => sent.push({ text, parameters })
  Object.assign(db.$client.options, { debug })
  try {
    return { result: await act(), sent }
  } finally {
    Object.assign(db.$client.options, { debug: false })
  }
}
