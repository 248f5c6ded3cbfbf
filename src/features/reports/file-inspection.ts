import { createHash } from 'node:crypto'
import { Problem } from '../../http/problem.ts'
import { detectMediaType, headLengthBytes } from './file-types.ts'

/** A report's file may have this many bytes: 20 MiB. */
export const maxFileBytes = 20 * 1024 * 1024

/** What is known of a file once it is read. */
export type InspectedFile = { contentType: string; size: number; sha256: string }

const unsupportedTypeProblem = () =>
  new Problem('unsupported-media-type', {
    detail:
      'A file must be PDF, PNG, JPEG, WebP, GIF, TIFF, HEIC or HEIF, DICOM, or plain text in UTF-8, whatever its name says.',
  })

/** Tells a file's type by its bytes. */
class FileTypeDetector {
  #head = ''
  #mediaType: string | undefined
  #text: TextDecoder | undefined = new TextDecoder('utf-8', { fatal: true })

  /** @throws {Problem} 415 once it can be none of the types */
  read(chunk: Uint8Array): void {
    if (this.#mediaType) return
    const missing = headLengthBytes - this.#head.length
    if (missing > 0) {
      this.#head += String.fromCharCode(...chunk.subarray(0, missing))
      // Not sooner: a DICOM file may begin like a TIFF.
      if (this.#head.length === headLengthBytes) this.#mediaType = detectMediaType(this.#head)
    }
    this.#readText(() => (chunk.includes(0) ? undefined : this.#text?.decode(chunk, { stream: true })))
    if (!this.#mediaType && !this.#text && this.#head.length === headLengthBytes) throw unsupportedTypeProblem()
  }

  /** @throws {Problem} 415 where it is none of the types */
  end(): string {
    const mediaType = this.#mediaType ?? detectMediaType(this.#head)
    if (mediaType) return mediaType
    this.#readText(() => this.#text?.decode())
    if (!this.#text) throw unsupportedTypeProblem()
    return 'text/plain'
  }

  #readText(decode: () => string | undefined): void {
    try {
      if (decode() === undefined) this.#text = undefined
    } catch {
      this.#text = undefined
    }
  }
}

/**
 * Passes a file's bytes on, and tells what they were once they have ended.
 * @throws {Problem} 413 where there are more than {@link maxFileBytes}, 415 where they are none of the types
 */
export async function* inspectFile(bytes: AsyncIterable<Uint8Array>, onInspected: (content: InspectedFile) => void) {
  const type = new FileTypeDetector()
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of bytes) {
    size += chunk.length
    if (size > maxFileBytes)
      throw new Problem('payload-too-large', { detail: `A file may have ${maxFileBytes} bytes.` })
    type.read(chunk)
    hash.update(chunk)
    yield chunk
  }
  onInspected({ contentType: type.end(), size, sha256: hash.digest('hex') })
}
