import { AwsClient } from 'aws4fetch'
import { validate as isUuid } from 'uuid'
import type { ListableFileStore } from '../../context.ts'
import { FileStoreProblem, putInParts } from './file-store.ts'

/** Where a bucket is, and the keys to it. */
export type S3Options = {
  /** The URL under which buckets are, such as https://s3.eu-central-1.amazonaws.com. */
  endpoint: string
  bucket: string
  region: string
  accessKeyId: string
  secretAccessKey: string
}

/** How long a request that waits for its whole answer may take, in ms. */
const s3RequestTimeoutMs = 60_000

type S3Request = { query?: Record<string, string>; body?: Uint8Array<ArrayBuffer> | string; headers?: HeadersInit }

/** The text of the first element of this name. What is read of S3's XML holds no markup and no escapes. */
const getXmlElement = (xml: string, name: string) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1]

/** Files in a bucket of a store that speaks S3 (Amazon Simple Storage Service API Reference, version 2006-03-01). */
export function createS3FileStore({ endpoint, bucket, ...access }: S3Options): ListableFileStore {
  const client = new AwsClient({ ...access, service: 's3', retries: 3 })

  /** @throws {FileStoreProblem} where the store cannot be reached, is overloaded or has no room */
  async function send(
    method: string,
    key: string,
    { query = {}, body, headers = {} }: S3Request,
    signal?: AbortSignal,
  ) {
    const url = new URL(`${endpoint.replace(/\/$/, '')}/${bucket}/${key}`)
    url.search = new URLSearchParams(query).toString()
    const response = await client
      .fetch(url.href, { method, headers, ...(body !== undefined && { body }), ...(signal && { signal }) })
      .catch((cause: unknown) => {
        throw new FileStoreProblem('unavailable', cause)
      })
    if (response.ok || response.status === 404) return response
    const code = getXmlElement(await response.text(), 'Code')
    const error = new Error(`S3 answered ${response.status} ${code} to ${method}`)
    if (response.status === 507) throw new FileStoreProblem('full', error)
    throw response.status >= 500 || response.status === 429 ? new FileStoreProblem('unavailable', error) : error
  }

  /** Sends and reads the whole answer. A 404 is a fault. */
  async function sendAndRead(method: string, key: string, request: S3Request) {
    const response = await send(method, key, request, AbortSignal.timeout(s3RequestTimeoutMs))
    const xml = await response.text()
    // An upload that could not be completed may say so in a 200 (CompleteMultipartUpload).
    if (!response.ok || xml.includes('<Error>'))
      throw new Error(`S3 answered ${response.status} ${getXmlElement(xml, 'Code')} to ${method}`)
    return { xml, etag: response.headers.get('ETag') ?? '' }
  }

  return {
    put: (key, bytes) =>
      putInParts<string>(bytes, {
        async whole(body) {
          await sendAndRead('PUT', key, { body })
        },
        async begin() {
          const { xml } = await sendAndRead('POST', key, { query: { uploads: '' } })
          const uploadId = getXmlElement(xml, 'UploadId') ?? ''
          return {
            async part(number, body) {
              return (await sendAndRead('PUT', key, { query: { partNumber: `${number}`, uploadId }, body })).etag
            },
            async complete(etags) {
              const parts = etags.map((etag, i) => `<Part><PartNumber>${i + 1}</PartNumber><ETag>${etag}</ETag></Part>`)
              const body = `<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`
              await sendAndRead('POST', key, { query: { uploadId }, body })
            },
            async abort() {
              await sendAndRead('DELETE', key, { query: { uploadId } })
            },
          }
        },
      }),
    async get(key, range) {
      const headers = { 'Accept-Encoding': 'identity', ...(range && { Range: `bytes=${range.first}-${range.last}` }) }
      const response = await send('GET', key, { headers })
      if (response.ok && response.body) return response.body
      await response.body?.cancel()
      return undefined
    },
    async delete(key) {
      const response = await send('DELETE', key, {}, AbortSignal.timeout(s3RequestTimeoutMs))
      await response.body?.cancel()
    },
    async findFault() {
      try {
        await sendAndRead('GET', '', { query: { 'list-type': '2', 'max-keys': '1' } })
      } catch (error) {
        const cause = error instanceof FileStoreProblem ? error.cause : error
        const reason = cause instanceof Error ? cause.message : 'no answer'
        return `The bucket ${bucket} cannot be used (${reason}): reports cannot be kept or read until it can.`
      }
    },
    async *list() {
      for (let token: string | undefined = ''; token !== undefined; ) {
        const query: Record<string, string> = { 'list-type': '2', ...(token && { 'continuation-token': token }) }
        const { xml } = await sendAndRead('GET', '', { query })
        for (const [, entry = ''] of xml.matchAll(/<Contents>(.*?)<\/Contents>/gs)) {
          const key = getXmlElement(entry, 'Key')
          // Whoever runs us may keep other things in the bucket.
          if (key && isUuid(key)) yield { key, modified: new Date(getXmlElement(entry, 'LastModified') ?? Date.now()) }
        }
        token = getXmlElement(xml, 'NextContinuationToken')
      }
    },
  }
}
