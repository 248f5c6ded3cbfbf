import { Buffer } from 'node:buffer'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Busboy } from '@fastify/busboy'
import type { HonoRequest } from 'hono'
import { type FieldError, Problem } from './problem.ts'

/** What a form may have beside its file: fields of this many bytes, in so many parts. */
const maxFieldBytes = 64 * 1024
const maxParts = 20

/** The body is no form, or ends before the form does. */
const malformedFormProblem = (cause?: unknown) =>
  new Problem('bad-request', {
    errors: [{ path: '', message: 'has a body that is not a whole form', code: 'malformed' }],
    cause,
  })

/** A form as read: its fields, the one file that it was to have, and what of it was not asked for. */
export type ParsedForm<FileResult> = {
  fields: Record<string, string>
  file: { name: string; result: FileResult } | undefined
  errors: FieldError[]
}

const fileTooLargeProblem = (maxFileBytes: number) =>
  new Problem('payload-too-large', { detail: `A file may have ${maxFileBytes} bytes, a field ${maxFieldBytes}.` })

type BodyReader = ReadableStreamDefaultReader<Uint8Array>

/** Slower than this, on average and after a while, a body is no longer waited for: whoever sends it holds a connection. */
const minBytesPerSecond = 1024
const slowBodyGraceMs = 10_000

const bodyTooSlowProblem = () => new Problem('request-timeout', { headers: { Connection: 'close' } })

/** The chunks of a body, to the end. @throws {Problem} 408 where they come too slowly, and `tooLargeProblem` beyond `maxBytes` bytes */
async function* readChunks(reader: BodyReader, maxBytes: number, tooLargeProblem: () => Problem) {
  const start = performance.now()
  for (let size = 0; ; ) {
    const { done, value } = await reader.read()
    if (done) return
    size += value.length
    const elapsedMs = performance.now() - start
    if (elapsedMs > slowBodyGraceMs && size < (minBytesPerSecond * elapsedMs) / 1000) throw bodyTooSlowProblem()
    if (size > maxBytes) throw tooLargeProblem()
    yield value
  }
}

/**
 * Reads at most `maxBytes` bytes of what is left of a body, as long as they come fast enough. Cancelled instead, it would take
 * the connection with it.
 */
async function drainBody(reader: BodyReader, maxBytes: number): Promise<void> {
  try {
    for await (const _ of readChunks(reader, maxBytes, bodyTooSlowProblem));
  } catch {
    // There is nobody any more to hear the answer, or it is not waited for.
  }
}

/** Reads what nobody has read of a refused request: most clients hear an answer only once they have sent all. */
export async function discardBody({ body, bodyUsed }: Request, maxBytes: number): Promise<void> {
  if (body && !bodyUsed && !body.locked) await drainBody(body.getReader(), maxBytes)
}

/** A part's bytes. That they break off is the form's fault, and not that of who takes them. */
async function* readFileBytes(stream: Readable): AsyncGenerator<Uint8Array> {
  try {
    yield* stream
  } catch (cause) {
    throw malformedFormProblem(cause)
  }
}

/** Bytes as busboy gives them, one a character, as the UTF-8 that they are; undefined where they are none. */
function decodeUtf8(bytes: string): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.from(bytes, 'latin1'))
  } catch {
    return undefined
  }
}

/**
 * Reads a body of multipart/form-data (RFC 7578) as it comes. `consumeFile` gets the bytes of the file in the part `file`, at
 * most `maxFileBytes` of them, no faster than it reads them; nothing but the fields is kept in memory.
 * @throws {Problem} 415, 413, 400 where it is no such form or is cut; and whatever `consumeFile` throws
 */
export async function readMultipartForm<FileResult>(
  req: HonoRequest,
  { file: fileField, maxFileBytes }: { file: string; maxFileBytes: number },
  consumeFile: (bytes: AsyncIterable<Uint8Array>) => Promise<FileResult>,
): Promise<ParsedForm<FileResult>> {
  const contentType = req.header('Content-Type') ?? ''
  if (!/^multipart\/form-data\s*(;|$)/i.test(contentType))
    throw new Problem('unsupported-media-type', { detail: 'Send the body as multipart/form-data.' })
  const tooLargeProblem = () => fileTooLargeProblem(maxFileBytes)
  const maxBytes = maxFileBytes + maxFieldBytes
  if (Number(req.header('Content-Length') ?? 0) > maxBytes) throw tooLargeProblem()
  const fields = new Map<string, string>()
  const errors: FieldError[] = []
  const streams: Readable[] = []
  const stop = new AbortController()
  let file: { name: string; result: Promise<FileResult> } | undefined

  const createParser = () => {
    try {
      return new Busboy({
        headers: { 'content-type': contentType },
        preservePath: true,
        // Bytes as they are, to be read by `decodeUtf8`, which refuses what busboy would replace.
        defCharset: 'latin1',
        limits: { fieldSize: maxFieldBytes, parts: maxParts },
      })
    } catch (cause) {
      throw malformedFormProblem(cause)
    }
  }
  const parser = createParser()
  parser
    .on('field', (name, value, _, truncated) => {
      const text = decodeUtf8(value)
      if (truncated) stop.abort(tooLargeProblem())
      else if (text === undefined) errors.push({ path: name, message: 'is not UTF-8', code: 'malformed' })
      else fields.set(name, text)
    })
    .on('file', (name, stream, filename) => {
      streams.push(stream)
      // Told by the parser as well, but an error that nobody hears ends the process.
      stream.on('error', () => {})
      if (name === fileField && !file) {
        const result = consumeFile(readFileBytes(stream))
        result.catch((error: unknown) => stop.abort(error))
        file = { name: filename ?? '', result }
        return
      }
      const message = name === fileField ? 'must be one file' : 'is not a known field'
      errors.push({ path: name ?? '', message, code: 'unrecognized_keys' })
      stream.resume()
    })
    .on('partsLimit', () => stop.abort(tooLargeProblem()))
    .on('error', () => {})

  if (!req.raw.body) throw malformedFormProblem()
  const reader = req.raw.body.getReader()
  try {
    await pipeline(readChunks(reader, maxBytes, tooLargeProblem), parser, { signal: stop.signal })
    return { fields: Object.fromEntries(fields), file: file && { name: file.name, result: await file.result }, errors }
  } catch (error) {
    const reason: unknown = stop.signal.aborted
      ? stop.signal.reason
      : error instanceof Problem
        ? error
        : malformedFormProblem(error)
    for (const stream of streams) stream.destroy(malformedFormProblem(error))
    await file?.result.catch(() => {})
    if (!(reason instanceof Problem && reason.type === 'request-timeout')) await drainBody(reader, maxBytes)
    throw reason
  }
}
