import type { AuditWriter, Logger } from '../context.ts'

/** How often the entries of a request are tried behind its answer, a second apart. */
const maxWriteAttempts = 3
/** Entries kept at most: those of requests that were under way when writing failed first, as nothing is shown after that. */
const maxRows = 10_000

/**
 * The entries that an isolate could not write, in its memory until the database takes them: the writer belongs to one
 * request, as its connections do.
 */
export class UnwrittenEntries {
  #rows: string[] = []
  /** Whether the audit log could not be written the last time. */
  failing = false

  /**
   * Writes in front of an answer what waits and what this request has added. Resolves to whether the database took it;
   * where not, what the request added is thrown away, and nothing of its answer may be shown.
   */
  async writeBefore(audit: AuditWriter): Promise<boolean> {
    return this.#write(audit, audit.takePending(), [])
  }

  /** Writes behind an answer what waits and what its request has added, and keeps what the database does not take. */
  async writeBehind(audit: AuditWriter, log: Logger): Promise<void> {
    const added = audit.takePending()
    if (added.length === 0 && !this.failing) return
    if (await this.#write(audit, added, added)) return
    for (let tried = 1; tried < maxWriteAttempts; tried += 1) {
      await new Promise((resolve) => setTimeout(resolve, 1000))
      if (await this.#write(audit, [], [])) return
    }
    const lost = this.#rows.splice(0, Math.max(0, this.#rows.length - maxRows)).length
    log.error({ msg: 'audit entries could not be written yet', waiting: this.#rows.length, lost })
  }

  /** Writes what waits and `rows`; where the database refuses, `kept` waits too. */
  async #write(audit: AuditWriter, rows: readonly string[], kept: readonly string[]): Promise<boolean> {
    const waiting = this.#rows.splice(0)
    const isWritten = await audit.writeRows([...waiting, ...rows])
    if (!isWritten) this.#rows.unshift(...waiting, ...kept)
    this.failing = !isWritten
    return isWritten
  }
}
