import { FileStoreProblem, type Files, putInParts } from './files.ts'

type Part = { partNumber: number; etag: string }
type Upload = {
  uploadPart(number: number, bytes: Uint8Array): Promise<Part>
  complete(parts: Part[]): Promise<unknown>
  abort(): Promise<void>
}

/** What is used of a binding to R2 (developers.cloudflare.com/r2/api/workers/workers-api-reference). */
export type Bucket = {
  put(key: string, bytes: Uint8Array): Promise<unknown>
  createMultipartUpload(key: string): Promise<Upload>
  get(
    key: string,
    options: { range?: { offset: number; length: number } },
  ): Promise<{ body: ReadableStream<Uint8Array> } | null>
  delete(key: string): Promise<void>
}

/** @throws {FileStoreProblem} in place of what R2 says */
const ofStore = <T>(work: Promise<T>): Promise<T> =>
  work.catch((cause: unknown) => {
    throw new FileStoreProblem('unavailable', cause)
  })

/** Files in a bucket of R2, which takes no stream of unknown length. */
export const r2Files = (bucket: Bucket): Files => ({
  put: (key, bytes) =>
    putInParts<Part>(bytes, {
      async whole(all) {
        await ofStore(bucket.put(key, all))
      },
      async begin() {
        const upload = await ofStore(bucket.createMultipartUpload(key))
        return {
          part: (number, part) => ofStore(upload.uploadPart(number, part)),
          async complete(parts) {
            await ofStore(upload.complete(parts))
          },
          abort: () => upload.abort(),
        }
      },
    }),
  async get(key, range) {
    const part = range ? { range: { offset: range.first, length: range.last - range.first + 1 } } : {}
    const found = await ofStore(bucket.get(key, part))
    return found?.body
  },
  delete: (key) => ofStore(bucket.delete(key)),
})
