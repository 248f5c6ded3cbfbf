import type { ByteRange } from '../context.ts'

/** No two runs of blanks side by side: a header of nothing else would be tried in every way to part them. */
const byteRangePattern = /^bytes=\s*(?:(\d+)\s*)?-\s*(?:(\d+)\s*)?$/i

/**
 * The part of `size` bytes that a `ByteRange` header asks for: undefined where it asks for all of them, as also a header
 * does that asks for several parts or cannot be understood (RFC 9110, sections 14.1.2 and 14.2).
 */
export function parseRange(header: string | undefined, size: number): ByteRange | 'unsatisfiable' | undefined {
  const [, from = '', to = ''] = byteRangePattern.exec(header ?? '') ?? []
  if (from === '' && to === '') return undefined
  const [first, last] =
    from === '' ? [Math.max(0, size - Number(to)), size - 1] : [Number(from), to === '' ? size - 1 : Number(to)]
  if (from !== '' && last < first && to !== '') return undefined
  return first < size ? { first, last: Math.min(last, size - 1) } : 'unsatisfiable'
}
