import type { Form } from './statement.ts'

/** A statement as Drizzle takes it: it runs once, when it is awaited for its rows as objects or asked for them as lists. */
export class Pending implements PromiseLike<unknown> {
  readonly #run: (form: Form) => Promise<unknown>
  #rows: Promise<unknown> | undefined

  constructor(run: (form: Form) => Promise<unknown>) {
    this.#run = run
  }

  values(): Promise<unknown> {
    this.#rows ??= this.#run('values')
    return this.#rows
  }

  // biome-ignore lint/suspicious/noThenProperty: like the driver's, it runs when it is awaited.
  then<A, B>(
    done?: ((rows: unknown) => A | PromiseLike<A>) | null,
    failed?: ((error: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    this.#rows ??= this.#run('objects')
    return this.#rows.then(done, failed)
  }

  catch<B>(failed: (error: unknown) => B | PromiseLike<B>): Promise<unknown> {
    return this.then(null, failed)
  }

  finally(done: () => void): Promise<unknown> {
    return this.then().finally(done)
  }
}
