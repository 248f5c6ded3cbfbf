import type { ServerResponse } from 'node:http'

/** Bounds the bytes of answers that clients have not taken yet, over all connections. */
export class UnreadAnswers {
  readonly #maxBytes: number
  /** The answers that wait for their clients, the longest waiting first, with their bytes when last counted. */
  readonly #bytesByAnswer = new Map<ServerResponse, number>()
  #totalBytes = 0

  /** Beyond `maxBytes` the connection that has waited longest for its client is cut, and then the next. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** To be called once `answer` is written: counts what of it the kernel has not taken, until the client has. */
  add(answer: ServerResponse): void {
    if (countUnreadBytes(answer) === 0) return
    answer.once('close', () => this.#remove(answer))
    this.#count(answer)
    if (this.#totalBytes <= this.#maxBytes) return
    // Clients have taken some of it since it was counted.
    for (const waiting of this.#bytesByAnswer.keys()) this.#count(waiting)
    for (const waiting of this.#bytesByAnswer.keys()) {
      if (this.#totalBytes <= this.#maxBytes) return
      this.#remove(waiting)
      waiting.destroy()
    }
  }

  #count(answer: ServerResponse): void {
    const bytes = countUnreadBytes(answer)
    this.#totalBytes += bytes - (this.#bytesByAnswer.get(answer) ?? 0)
    this.#bytesByAnswer.set(answer, bytes)
  }

  #remove(answer: ServerResponse): void {
    this.#totalBytes -= this.#bytesByAnswer.get(answer) ?? 0
    this.#bytesByAnswer.delete(answer)
  }
}

/** Node counts text by its UTF-16 code units, and keeps it beside its bytes in UTF-8. */
const countUnreadBytes = ({ socket }: ServerResponse) => socket?.writableLength ?? 0
