import type { TraceParent } from '../context.ts'

const traceparentPattern = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/
const allZerosPattern = /^0+$/

/** What a `traceparent` header says; undefined where it is none of version 00. */
export function parseTraceparent(header: string | undefined): TraceParent | undefined {
  if (header === undefined) return undefined
  const [, traceId = '', spanId = '', flags = ''] = traceparentPattern.exec(header) ?? []
  if (allZerosPattern.test(traceId) || allZerosPattern.test(spanId) || !traceId) return undefined
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 }
}
