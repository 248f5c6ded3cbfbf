import type { FileStore } from '../../context.ts'
import { FileStoreProblem, putInParts } from './file-store.ts'

type R2Part = { partNumber: number; etag: string }
type R2Upload = {
  uploadPart(number: number, bytes: Uint8Array): Promise<R2Part>
  complete(parts: R2Part[]): Promise<unknown>
  abort(): Promise<void>
}

/** What is used of a binding to R2 (developers.cloudflare.com/r2/api/workers/workers-api-reference). */
export type R2Bucket = {
  put(key: string, bytes: Uint8Array): Promise<unknown>
  createMultipartUpload(key: string): Promise<R2Upload>
  get(
    key: string,
    options: { range?: { offset: number; length: number } },
  ): Promise<{ body: ReadableStream<Uint8Array> } | null>
  delete(key: string): Promise<void>
}

/** @throws {FileStoreProblem} in place of what R2 says */
const toFileStoreProblem = <T>(work: Promise<T>): Promise<T> =>
  work.catch((cause: unknown) => {
    throw new FileStoreProblem('unavailable', cause)
  })

/** Files in a bucket of R2, which takes no stream of unknown length. */
export const createR2FileStore = (bucket: R2Bucket): FileStore => ({
  put: (key, bytes) =>
    putInParts<R2Part>(bytes, {
      async whole(all) {
        await toFileStoreProblem(bucket.put(key, all))
      },
      async begin() {
        const upload = await toFileStoreProblem(bucket.createMultipartUpload(key))
        return {
          part: (number, part) => toFileStoreProblem(upload.uploadPart(number, part)),
          async complete(parts) {
            await toFileStoreProblem(upload.complete(parts))
          },
          abort: () => upload.abort(),
        }
      },
    }),
  async get(key, range) {
    const part = range ? { range: { offset: range.first, length: range.last - range.first + 1 } } : {}
    const found = await toFileStoreProblem(bucket.get(key, part))
    return found?.body
  },
  delete: (key) => toFileStoreProblem(bucket.delete(key)),
})
