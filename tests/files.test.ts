import { once } from 'node:events'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import S3rver from 's3rver'
import { afterAll, describe, expect, it } from 'vitest'
import type { ListableFileStore } from '../src/context.ts'
import { createFolderFileStore } from '../src/features/reports/file-store.folder.ts'
import { createS3FileStore } from '../src/features/reports/file-store.s3.ts'

const folder = await mkdtemp(join(tmpdir(), 'hospital-files-'))
const server = new S3rver({
  address: '127.0.0.1',
  port: 0,
  silent: true,
  directory: join(folder, 's3'),
  configureBuckets: [{ name: 'reports' }],
})
const { port } = await server.run()
afterAll(async () => {
  await server.close()
  await rm(folder, { recursive: true })
})

const access = { bucket: 'reports', region: 'eu-central-1', accessKeyId: 'S3RVER', secretAccessKey: 'S3RVER' }
const s3 = createS3FileStore({ ...access, endpoint: `http://127.0.0.1:${port}/` })

/** `size` bytes that differ from place to place, in uneven chunks. */
const content = (size: number) =>
  Buffer.from(Uint32Array.from({ length: Math.ceil(size / 4) }, (_, i) => i * 2_654_435_761).buffer).subarray(0, size)
async function* chunks(bytes: Uint8Array) {
  for (let at = 0, length = 1; at < bytes.length; at += length, length = (length * 7 + 1) % 100_003)
    yield bytes.subarray(at, at + length)
}
async function* broken(bytes: Uint8Array) {
  yield* chunks(bytes)
  throw new Error('cut')
}
const read = async (stream: ReadableStream<Uint8Array> | undefined) =>
  stream &&
  Buffer.from(
    await new Response(
      stream.pipeThrough(
        new TransformStream<Uint8Array, Uint8Array<ArrayBuffer>>({
          transform: (chunk, controller) => controller.enqueue(new Uint8Array(chunk)),
        }),
      ),
    ).arrayBuffer(),
  )
const keys = async (files: ListableFileStore) => {
  const found: string[] = []
  for await (const { key } of files.list()) found.push(key)
  return found
}

describe.each<[string, ListableFileStore]>([
  ['a folder', await createFolderFileStore(join(folder, 'files'))],
  ['an S3 store', s3],
])('%s', (_, files) => {
  it.each([0, 1, 100_000, 5 * 2 ** 20, 5 * 2 ** 20 + 1, 12_345_678])(
    'a file store keeps %i bytes as they are',
    async (size) => {
      const [key, bytes] = [crypto.randomUUID(), content(size)]
      await files.put(key, chunks(bytes))
      expect((await read(await files.get(key)))?.equals(bytes)).toBe(true)
      if (size > 1) {
        const range = { first: Math.floor(size / 2), last: size - 2 }
        expect((await read(await files.get(key, range)))?.equals(bytes.subarray(range.first, range.last + 1))).toBe(
          true,
        )
      }
      expect(await keys(files)).toContain(key)
      await files.delete(key)
      expect(await files.get(key)).toBe(undefined)
      await files.delete(key)
      expect(await keys(files)).not.toContain(key)
    },
  )

  it.each([100, 12_345_678])('a file store keeps nothing of %i bytes that break off', async (size) => {
    const key = crypto.randomUUID()
    await expect(files.put(key, broken(content(size)))).rejects.toThrow('cut')
    expect(await files.get(key)).toBe(undefined)
    expect(await keys(files)).not.toContain(key)
  })

  it('a file store tells when each file was kept', async () => {
    const [key, start] = [crypto.randomUUID(), Date.now()]
    await files.put(key, chunks(content(10)))
    for await (const found of files.list())
      if (found.key === key) expect(Math.abs(found.modified.getTime() - start)).toBeLessThan(10_000)
  })
})

it('a folder is left as it was by a file that breaks off', async () => {
  const files = await createFolderFileStore(join(folder, 'other'))
  await files.put('kept', chunks(content(10)))
  await expect(files.put('broken', broken(content(10)))).rejects.toThrow('cut')
  expect(await readdir(join(folder, 'other'))).toEqual(['kept'])
})

describe('Faults of an S3 store', () => {
  it('an S3 store that cannot be reached is a 503', async () => {
    const files = createS3FileStore({ ...access, endpoint: 'http://127.0.0.1:9' })
    await expect(files.put('x', chunks(content(10)))).rejects.toMatchObject({ name: 'Problem', status: 503 })
    await expect(files.get('x')).rejects.toMatchObject({ name: 'Problem', status: 503 })
  })

  it('an S3 store that refuses is a fault of ours, and the answer and the log hold no secret', async () => {
    const files = createS3FileStore({ ...access, bucket: 'absent', endpoint: `http://127.0.0.1:${port}` })
    await expect(files.put('x', chunks(content(10)))).rejects.toThrow('S3 answered 404 NoSuchBucket to PUT')
  })

  it('an S3 store with very many files is listed to the end, without what is not ours', async () => {
    const made = [crypto.randomUUID(), crypto.randomUUID()]
    const entry = (key: string) =>
      `<Contents><Key>${key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>`
    const pages: Record<string, string> = {
      '': `${entry(made[0] ?? '')}${entry('notes.txt')}<NextContinuationToken>a+/b=</NextContinuationToken>`,
      'a+/b=': entry(made[1] ?? ''),
    }
    const paged = createServer((request, response) => {
      const token = new URL(request.url ?? '', 'http://s3.test').searchParams.get('continuation-token')
      response.end(`<ListBucketResult>${pages[token ?? '']}</ListBucketResult>`)
    }).listen(0, '127.0.0.1')
    await once(paged, 'listening')
    const address = paged.address()
    const files = createS3FileStore({
      ...access,
      endpoint: `http://127.0.0.1:${typeof address === 'object' && address?.port}`,
    })
    expect(await keys(files)).toEqual(made)
    paged.close()
  })

  it('an S3 store that rejects our key is a fault of ours', async () => {
    const files = createS3FileStore({ ...access, accessKeyId: 'unknown', endpoint: `http://127.0.0.1:${port}` })
    await expect(files.put(crypto.randomUUID(), chunks(content(10)))).rejects.toThrow(
      'S3 answered 403 InvalidAccessKeyId to PUT',
    )
  })
})
