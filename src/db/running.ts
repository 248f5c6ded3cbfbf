import type { Call } from './call.ts'

/**
 * Calls under way, in no order. No `Set`: the tables of one that has lived long keep what they held until the next
 * collection of the whole heap, and with it every row that was read.
 */
export class Running {
  readonly #calls: Call[] = []

  get size(): number {
    return this.#calls.length
  }

  add(call: Call): void {
    call.place = this.#calls.push(call) - 1
  }

  delete(call: Call): void {
    if (this.#calls[call.place] !== call) return
    const last = this.#calls.pop()
    if (last === undefined || last === call) return
    this.#calls[call.place] = last
    last.place = call.place
  }

  all(): Call[] {
    return [...this.#calls]
  }
}
