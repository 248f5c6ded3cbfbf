import { Buffer } from 'node:buffer'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Busboy } from '@fastify/busboy'
import type { HonoRequest } from 'hono'
import { type FieldError, Problem } from './problem.ts'

/** What a form may have beside its file: fields of this many bytes, in so many parts. */
const maxField = 64 * 1024
const maxParts = 20

/** The body is no form, or ends before the form does. */
const malformed = (cause?: unknown) =>
  new Problem('bad-request', {
    errors: [{ path: '', message: 'has a body that is not a whole form', code: 'malformed' }],
    cause,
  })

/** A form as read: its fields, the one file that it was to have, and what of it was not asked for. */
export type Form<Taken> = {
  fields: Record<string, string>
  file: { name: string; taken: Taken } | undefined
  errors: FieldError[]
}

const tooLarge = (maxFile: number) =>
  new Problem('payload-too-large', { detail: `A file may have ${maxFile} bytes, a field ${maxField}.` })

type Reader = ReadableStreamDefaultReader<Uint8Array>

/** Slower than this, on average and after a while, a body is no longer waited for: whoever sends it holds a connection. */
const minBytesPerSecond = 1024
const slowForMs = 10_000

const tooSlow = () => new Problem('request-timeout', { headers: { Connection: 'close' } })

/** The chunks of a body, to the end. @throws {Problem} 408 where they come too slowly, and `tooMany` beyond `most` bytes */
async function* chunksOf(reader: Reader, most: number, tooMany: () => Problem) {
  const start = performance.now()
  for (let size = 0; ; ) {
    const { done, value } = await reader.read()
    if (done) return
    size += value.length
    const ms = performance.now() - start
    if (ms > slowForMs && size < (minBytesPerSecond * ms) / 1000) throw tooSlow()
    if (size > most) throw tooMany()
    yield value
  }
}

/**
 * Reads at most `most` bytes of what is left of a body, as long as they come fast enough. Cancelled instead, it would take
 * the connection with it.
 */
async function drain(reader: Reader, most: number): Promise<void> {
  try {
    for await (const _ of chunksOf(reader, most, tooSlow));
  } catch {
    // There is nobody any more to hear the answer, or it is not waited for.
  }
}

/** Reads what nobody has read of a refused request: most clients hear an answer only once they have sent all. */
export async function discardBody({ body, bodyUsed }: Request, most: number): Promise<void> {
  if (body && !bodyUsed && !body.locked) await drain(body.getReader(), most)
}

/** A part's bytes. That they break off is the form's fault, and not that of who takes them. */
async function* bytesOf(stream: Readable): AsyncGenerator<Uint8Array> {
  try {
    yield* stream
  } catch (cause) {
    throw malformed(cause)
  }
}

/** Bytes as busboy gives them, one a character, as the UTF-8 that they are; undefined where they are none. */
function utf8(bytes: string): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(bytes, 'latin1'))
  } catch {
    return undefined
  }
}

/**
 * Reads a body of multipart/form-data (RFC 7578) as it comes. `take` gets the bytes of the file in the part `file`, at
 * most `maxFile` of them, no faster than it reads them; nothing but the fields is kept in memory.
 * @throws {Problem} 415, 413, 400 where it is no such form or is cut; and whatever `take` throws
 */
export async function readForm<Taken>(
  req: HonoRequest,
  { file: wanted, maxFile }: { file: string; maxFile: number },
  take: (bytes: AsyncIterable<Uint8Array>) => Promise<Taken>,
): Promise<Form<Taken>> {
  const contentType = req.header('Content-Type') ?? ''
  if (!/^multipart\/form-data\s*(;|$)/i.test(contentType))
    throw new Problem('unsupported-media-type', { detail: 'Send the body as multipart/form-data.' })
  const tooMany = () => tooLarge(maxFile)
  const most = maxFile + maxField
  if (Number(req.header('Content-Length') ?? 0) > most) throw tooMany()
  const fields = new Map<string, string>()
  const errors: FieldError[] = []
  const streams: Readable[] = []
  const stop = new AbortController()
  let file: { name: string; taken: Promise<Taken> } | undefined

  const parserOf = () => {
    try {
      return new Busboy({
        headers: { 'content-type': contentType },
        preservePath: true,
        // Bytes as they are, to be read by `utf8`, which refuses what busboy would replace.
        defCharset: 'latin1',
        limits: { fieldSize: maxField, parts: maxParts },
      })
    } catch (cause) {
      throw malformed(cause)
    }
  }
  const parser = parserOf()
  parser
    .on('field', (name, value, _, truncated) => {
      const text = utf8(value)
      if (truncated) stop.abort(tooMany())
      else if (text === undefined) errors.push({ path: name, message: 'is not UTF-8', code: 'malformed' })
      else fields.set(name, text)
    })
    .on('file', (name, stream, filename) => {
      streams.push(stream)
      // Told by the parser as well, but an error that nobody hears ends the process.
      stream.on('error', () => {})
      if (name === wanted && !file) {
        const taken = take(bytesOf(stream))
        taken.catch((error: unknown) => stop.abort(error))
        file = { name: filename ?? '', taken }
        return
      }
      const message = name === wanted ? 'must be one file' : 'is not a known field'
      errors.push({ path: name ?? '', message, code: 'unrecognized_keys' })
      stream.resume()
    })
    .on('partsLimit', () => stop.abort(tooMany()))
    .on('error', () => {})

  if (!req.raw.body) throw malformed()
  const reader = req.raw.body.getReader()
  try {
    await pipeline(chunksOf(reader, most, tooMany), parser, { signal: stop.signal })
    return { fields: Object.fromEntries(fields), file: file && { name: file.name, taken: await file.taken }, errors }
  } catch (error) {
    const reason: unknown = stop.signal.aborted
      ? stop.signal.reason
      : error instanceof Problem
        ? error
        : malformed(error)
    for (const stream of streams) stream.destroy(malformed(error))
    await file?.taken.catch(() => {})
    if (!(reason instanceof Problem && reason.type === 'request-timeout')) await drain(reader, most)
    throw reason
  }
}
