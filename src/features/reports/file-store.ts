import type { FileStore } from '../../context.ts'
import { Problem } from '../../http/problem.ts'

/** Files cannot be kept or read: 507 where the store has no room, else 503. */
export class FileStoreProblem extends Problem {
  constructor(reason: 'full' | 'unavailable', cause: unknown) {
    if (reason === 'full')
      super('insufficient-storage', { detail: 'There is no room left for files. Nothing was kept.', cause })
    else
      super('unavailable', {
        detail: 'Files cannot be kept or read just now. Try again in a while.',
        cause,
        headers: { 'Retry-After': '5' },
      })
  }
}

/** The same files; `onFailure` is called each time that they cannot be kept, read or deleted. */
export function withFailureListener<Store extends FileStore>(files: Store, onFailure: () => void): Store {
  const watch = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work
    } catch (error) {
      if (error instanceof FileStoreProblem) onFailure()
      throw error
    }
  }
  return {
    ...files,
    put: (key, bytes) => watch(files.put(key, bytes)),
    get: (key, range) => watch(files.get(key, range)),
    delete: (key) => watch(files.delete(key)),
  }
}

/** What R2 and S3 take of a file at once: never less, but for the last part (S3's limit, 5 MiB), and R2 never more. */
const partSizeBytes = 5 * 1024 * 1024

/** How a store takes a file whose length is not known ahead: `whole`, or part by part. */
type MultipartStore<Part> = {
  whole(bytes: Uint8Array<ArrayBuffer>): Promise<void>
  begin(): Promise<{
    /** `number` counts from 1. */
    part(number: number, bytes: Uint8Array<ArrayBuffer>): Promise<Part>
    complete(parts: Part[]): Promise<void>
    abort(): Promise<void>
  }>
}

/** Gives a store its bytes, one part at a time in memory. What fits into one goes at once, and needs no second request. */
export async function putInParts<Part>(bytes: AsyncIterable<Uint8Array>, store: MultipartStore<Part>): Promise<void> {
  const buffer = new Uint8Array(partSizeBytes)
  const parts: Part[] = []
  let filled = 0
  let upload: Awaited<ReturnType<MultipartStore<Part>['begin']>> | undefined
  try {
    for await (const chunk of bytes)
      for (let at = 0; at < chunk.length; ) {
        if (filled === partSizeBytes) {
          upload ??= await store.begin()
          parts.push(await upload.part(parts.length + 1, buffer))
          filled = 0
        }
        const next = chunk.subarray(at, at + partSizeBytes - filled)
        buffer.set(next, filled)
        filled += next.length
        at += next.length
      }
    const rest = buffer.subarray(0, filled)
    if (!upload) return await store.whole(rest)
    parts.push(await upload.part(parts.length + 1, rest))
    await upload.complete(parts)
  } catch (error) {
    await upload?.abort().catch(() => {})
    throw error
  }
}
