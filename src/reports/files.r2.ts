import { type Files, putInParts } from './files.ts'

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

/** Files in a bucket of R2, which takes no stream of unknown length. */
export const r2Files = (bucket: Bucket): Files => ({
  put: (key, bytes) =>
    putInParts<Part>(bytes, {
      async whole(all) {
        await bucket.put(key, all)
      },
      async begin() {
        const upload = await bucket.createMultipartUpload(key)
        return {
          part: (number, part) => upload.uploadPart(number, part),
          async complete(parts) {
            await upload.complete(parts)
          },
          abort: () => upload.abort(),
        }
      },
    }),
  async get(key, range) {
    const found = await bucket.get(
      key,
      range ? { range: { offset: range.first, length: range.last - range.first + 1 } } : {},
    )
    return found?.body
  },
  delete: (key) => bucket.delete(key),
})
