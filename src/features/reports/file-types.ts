/** A type of file that is kept: the media type, the extensions its names have, and its bytes. */
type FileType = {
  mediaType: string
  /** The first is appended to a name that has none of them. */
  extensions: readonly [string, ...string[]]
  /** What a file of this type has where, one character a byte; one of several such lists. Text has none. */
  signatures: readonly (readonly { at: number; bytes: string }[])[]
}

const bytesAt = (at: number, bytes: string) => ({ at, bytes })
/** An ISO base media file (ISO/IEC 14496-12, 4.3) whose major brand is one of these. */
const isoMediaSignatures = (...brands: string[]) => brands.map((brand) => [bytesAt(4, `ftyp${brand}`)])

/** The types of files that are kept, in the order in which they are looked for. */
export const fileTypes: readonly FileType[] = [
  // ISO 32000-2, 7.5.2
  { mediaType: 'application/pdf', extensions: ['pdf'], signatures: [[bytesAt(0, '%PDF-')]] },
  // W3C PNG (Third Edition), 5.2
  { mediaType: 'image/png', extensions: ['png'], signatures: [[bytesAt(0, '\x89PNG\r\n\x1a\n')]] },
  // ITU-T T.81, B.2.1: the marker of the start, then another marker
  { mediaType: 'image/jpeg', extensions: ['jpg', 'jpeg', 'jpe', 'jfif'], signatures: [[bytesAt(0, '\xff\xd8\xff')]] },
  // RFC 9649, 2.4
  { mediaType: 'image/webp', extensions: ['webp'], signatures: [[bytesAt(0, 'RIFF'), bytesAt(8, 'WEBP')]] },
  // GIF89a specification, 17
  { mediaType: 'image/gif', extensions: ['gif'], signatures: [[bytesAt(0, 'GIF87a')], [bytesAt(0, 'GIF89a')]] },
  // ISO/IEC 23008-12, annex B, and its registration with IANA
  {
    mediaType: 'image/heic',
    extensions: ['heic', 'heif'],
    signatures: isoMediaSignatures('heic', 'heix', 'heim', 'heis'),
  },
  {
    mediaType: 'image/heic-sequence',
    extensions: ['heics', 'heic'],
    signatures: isoMediaSignatures('hevc', 'hevx', 'hevm', 'hevs'),
  },
  { mediaType: 'image/heif', extensions: ['heif', 'heic'], signatures: isoMediaSignatures('mif1') },
  { mediaType: 'image/heif-sequence', extensions: ['heifs', 'heif'], signatures: isoMediaSignatures('msf1') },
  // DICOM PS3.10, 7.1: behind a preamble for others' use, in which a TIFF may begin
  { mediaType: 'application/dicom', extensions: ['dcm', 'dicom', 'dic'], signatures: [[bytesAt(128, 'DICM')]] },
  // TIFF 6.0, section 2, and BigTIFF, in either order of bytes
  {
    mediaType: 'image/tiff',
    extensions: ['tif', 'tiff'],
    signatures: ['II*\0', 'MM\0*', 'II+\0', 'MM\0+'].map((bytes) => [bytesAt(0, bytes)]),
  },
  // What HTML and SVG are as well: shown as text, whatever they are called.
  { mediaType: 'text/plain', extensions: ['txt', 'text', 'log', 'csv', 'tsv', 'md'], signatures: [] },
]

/** So many bytes of a file tell its type. */
export const headLengthBytes = 132

/** What a DICOM file may hide in its preamble, which makes it a program or an archive as well (CVE-2019-11687). */
const programSignatures = ['MZ', '\x7fELF', '#!', 'PK', '\xca\xfe\xba\xbe', '\xce\xfa\xed\xfe', '\xcf\xfa\xed\xfe']

/** The media type of a file that begins with `head`, one character a byte; undefined where it is none that is known by its bytes. */
export function detectMediaType(head: string): string | undefined {
  if (programSignatures.some((bytes) => head.startsWith(bytes))) return undefined
  const known = fileTypes.find(({ signatures }) =>
    signatures.some((signature) => signature.every(({ at, bytes }) => head.startsWith(bytes, at))),
  )
  return known?.mediaType
}

/** The name that a file is offered under: with an extension of its type, so that nothing else opens it (RFC 6266, section 4.3). */
export function getDownloadName(filename: string, mediaType: string): string {
  const [usual, ...others] = fileTypes.find((type) => type.mediaType === mediaType)?.extensions ?? ['bin']
  const extension = /\.([^.]+)$/.exec(filename)?.[1]?.toLowerCase()
  return extension !== undefined && [usual, ...others].includes(extension) ? filename : `${filename}.${usual}`
}
