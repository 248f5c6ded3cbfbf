import type { PoolTask } from './task.ts'

/**
 * Calls under way, in no order. No `Set`: the tables of one that has lived long keep what they held until the next
 * collection of the whole heap, and with it every row that was read.
 */
export class InFlightSet {
  readonly #tasks: PoolTask[] = []

  get size(): number {
    return this.#tasks.length
  }

  add(task: PoolTask): void {
    task.slot = this.#tasks.push(task) - 1
  }

  delete(task: PoolTask): void {
    if (this.#tasks[task.slot] !== task) return
    const last = this.#tasks.pop()
    if (last === undefined || last === task) return
    this.#tasks[task.slot] = last
    last.slot = task.slot
  }

  toArray(): PoolTask[] {
    return [...this.#tasks]
  }
}
