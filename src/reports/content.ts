import { createHash } from 'node:crypto'
import { Problem } from '../http/problem.ts'

/** A report's file may have this many bytes: 20 MiB. */
export const maxFile = 20 * 1024 * 1024

/** What is known of a file once it is read. */
export type Content = { contentType: string; size: number; sha256: string }

/** How each type begins, one character a byte, and where. */
const signatures: { type: string; at: number; begins: string }[] = [
  // ISO 32000-2, 7.5.2
  { type: 'application/pdf', at: 0, begins: '%PDF-' },
  // W3C PNG (Third Edition), 5.2
  { type: 'image/png', at: 0, begins: '\x89PNG\r\n\x1a\n' },
  // ITU-T T.81, B.2.1: the marker of the start, then another marker
  { type: 'image/jpeg', at: 0, begins: '\xff\xd8\xff' },
  // DICOM PS3.10, 7.1: behind a preamble for others' use
  { type: 'application/dicom', at: 128, begins: 'DICM' },
]
/** The types there are. */
export const contentTypes = [...signatures.map(({ type }) => type), 'text/plain']
const headLength = 132
/** What a DICOM file may hide in its preamble, which makes it a program or an archive as well (CVE-2019-11687). */
const programs = ['MZ', '\x7fELF', '#!', 'PK', '\xca\xfe\xba\xbe', '\xce\xfa\xed\xfe', '\xcf\xfa\xed\xfe']

const notTaken = () =>
  new Problem('unsupported-media-type', {
    detail: 'A file must be PDF, PNG, JPEG, DICOM or plain text in UTF-8, whatever its name says.',
  })

/** Tells a file's type by its bytes. */
class TypeReader {
  #head = ''
  #type: string | undefined
  #text: TextDecoder | undefined = new TextDecoder('utf-8', { fatal: true })

  /** @throws {Problem} 415 once it can be none of the types */
  read(chunk: Uint8Array): void {
    if (this.#type) return
    const missing = headLength - this.#head.length
    if (missing > 0) {
      this.#head += String.fromCharCode(...chunk.subarray(0, missing))
      const polyglot = programs.some((begins) => this.#head.startsWith(begins))
      this.#type = signatures.find(({ begins, at }) => this.#head.startsWith(begins, at) && !polyglot)?.type
    }
    this.#readText(() => (chunk.includes(0) ? undefined : this.#text?.decode(chunk, { stream: true })))
    if (!this.#type && !this.#text && this.#head.length === headLength) throw notTaken()
  }

  /** @throws {Problem} 415 where it is none of the types */
  end(): string {
    this.#readText(() => this.#text?.decode())
    if (!this.#type && !this.#text) throw notTaken()
    return this.#type ?? 'text/plain'
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
 * @throws {Problem} 413 where there are more than {@link maxFile}, 415 where they are none of the types
 */
export async function* inspected(bytes: AsyncIterable<Uint8Array>, tell: (content: Content) => void) {
  const type = new TypeReader()
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of bytes) {
    size += chunk.length
    if (size > maxFile) throw new Problem('payload-too-large', { detail: `A file may have ${maxFile} bytes.` })
    type.read(chunk)
    hash.update(chunk)
    yield chunk
  }
  tell({ contentType: type.end(), size, sha256: hash.digest('hex') })
}
