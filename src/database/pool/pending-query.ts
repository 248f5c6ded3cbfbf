import type { RowMode } from './driver.ts'

/** A statement as Drizzle takes it: it runs once, when it is awaited for its rows as objects or asked for them as lists. */
export class PendingQuery implements PromiseLike<unknown> {
  readonly #runQuery: (rowMode: RowMode) => Promise<unknown>
  #rows: Promise<unknown> | undefined

  constructor(run: (rowMode: RowMode) => Promise<unknown>) {
    this.#runQuery = run
  }

  values(): Promise<unknown> {
    this.#rows ??= this.#runQuery('values')
    return this.#rows
  }

  // biome-ignore lint/suspicious/noThenProperty: like the driver's, it runs when it is awaited.
  then<A, B>(
    done?: ((rows: unknown) => A | PromiseLike<A>) | null,
    failed?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#rows ??= this.#runQuery('objects')
    return this.#rows.then(done, failed)
  }

  catch<B>(failed: (error: unknown) => B | PromiseLike<B>): Promise<unknown> {
    return this.then(null, failed)
  }

  finally(done: () => void): Promise<unknown> {
    return this.then().finally(done)
  }
}
