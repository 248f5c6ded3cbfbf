import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { ListedFiles } from './files.ts'

/** So many bytes may pass until the buffers that they came in are collected. */
const step = 4 * 1024 * 1024

setFlagsFromString('--expose-gc')
const collect: (options: { type: 'minor' }) => void = runInNewContext('gc')

/**
 * The same files, with what passes through them collected while it does: V8 itself lets buffers pile up to 64 MiB
 * before it looks for those that nobody needs (heap.cc, `AllocateExternalBackingStore`).
 */
export function collected(files: ListedFiles): ListedFiles {
  let passed = 0
  const count = (chunk: Uint8Array) => {
    passed += chunk.length
    if (passed < step) return
    passed = 0
    collect({ type: 'minor' })
  }
  async function* counted(bytes: AsyncIterable<Uint8Array>) {
    for await (const chunk of bytes) {
      yield chunk
      count(chunk)
    }
  }
  return {
    ...files,
    put: (key, bytes) => files.put(key, counted(bytes)),
    async get(key, range) {
      const stream = await files.get(key, range)
      return stream?.pipeThrough(
        new TransformStream({
          transform(chunk, controller) {
            controller.enqueue(chunk)
            count(chunk)
          },
        }),
      )
    },
  }
}
