/** Where a request stands in the sender's trace (W3C Trace Context, section 3.2). */
export type TraceParent = { traceId: string; spanId: string; sampled: boolean }

const traceparentPattern = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/
const allZerosPattern = /^0+$/

/** What a `traceparent` header says; undefined where it is none of version 00. */
export function parseTraceparent(header: string | undefined): TraceParent | undefined {
  if (header === undefined) return undefined
  const [, traceId = '', spanId = '', flags = ''] = traceparentPattern.exec(header) ?? []
  if (allZerosPattern.test(traceId) || allZerosPattern.test(spanId) || !traceId) return undefined
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & 1) === 1 }
}

/** A request under way, as a span of its trace. */
export type RequestSpan = {
  traceId: string
  spanId: string
  /** The request was answered with `status`. `route` is a pattern, undefined where there is no such path. */
  end(route: string | undefined, status: number): void
}

/** Follows requests from service to service. */
export type Tracing = { begin(method: string, scheme: 'http' | 'https', parent: TraceParent | undefined): RequestSpan }
