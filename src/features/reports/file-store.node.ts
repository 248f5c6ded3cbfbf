import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { ListableFileStore } from '../../context.ts'

/** So many bytes may pass until the buffers that they came in are collected. */
const gcIntervalBytes = 4 * 1024 * 1024

setFlagsFromString('--expose-gc')
const collectGarbage: (options: { type: 'minor' }) => void = runInNewContext('gc')

/**
 * The same files, with what passes through them collected while it does: V8 itself lets buffers pile up to 64 MiB
 * before it looks for those that nobody needs (heap.cc, `AllocateExternalBackingStore`).
 */
export function withEagerBufferGc(files: ListableFileStore): ListableFileStore {
  let passedBytes = 0
  const countBytes = (chunk: Uint8Array) => {
    passedBytes += chunk.length
    if (passedBytes < gcIntervalBytes) return
    passedBytes = 0
    collectGarbage({ type: 'minor' })
  }
  async function* passThrough(bytes: AsyncIterable<Uint8Array>) {
    for await (const chunk of bytes) {
      yield chunk
      countBytes(chunk)
    }
  }
  return {
    ...files,
    put: (key, bytes) => files.put(key, passThrough(bytes)),
    async get(key, range) {
      const stream = await files.get(key, range)
      return stream?.pipeThrough(
        new TransformStream({
          transform(chunk, controller) {
            controller.enqueue(chunk)
            countBytes(chunk)
          },
        }),
      )
    },
  }
}
