/** Where a request stands in the sender's trace (W3C Trace Context, section 3.2). */
export type Parent = { traceId: string; spanId: string; sampled: boolean }

const version00 = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/
const nothing = /^0+$/

/** What a `traceparent` header says; undefined where it is none of version 00. */
export function parentOf(header: string | undefined): Parent | undefined {
  if (header === undefined) return undefined
  const [, traceId = '', spanId = '', flags = ''] = version00.exec(header) ?? []
  if (nothing.test(traceId) || nothing.test(spanId) || !traceId) return undefined
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
export type Tracing = { begin(method: string, scheme: 'http' | 'https', parent: Parent | undefined): RequestSpan }
