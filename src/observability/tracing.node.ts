import { ROOT_CONTEXT, SpanKind, SpanStatusCode, TraceFlags, trace } from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import {
  detectResources,
  resourceAttributesEnvDetector,
  resourceFromAttributes,
  serviceNameEnvDetector,
} from '@opentelemetry/resources'
import { BatchSpanProcessor, TracerProvider } from '@opentelemetry/sdk-trace'
import manifest from '../../package.json' with { type: 'json' }
import type { Logger, TraceParent, Tracing } from '../context.ts'

/** How long what is left may take to be sent at the end, in ms. */
const spanExportTimeoutMs = 2000

const toSpanContext = ({ traceId, spanId, sampled }: TraceParent) =>
  trace.setSpanContext(ROOT_CONTEXT, {
    traceId,
    spanId,
    traceFlags: sampled ? TraceFlags.SAMPLED : TraceFlags.NONE,
    isRemote: true,
  })

/** Says so where spans cannot be sent: nobody else would. */
class LoggedExporter extends OTLPTraceExporter {
  readonly #log: Logger

  constructor(log: Logger) {
    super()
    this.#log = log
  }

  override export(...[spans, done]: Parameters<OTLPTraceExporter['export']>): void {
    super.export(spans, (result) => {
      if (result.error) this.#log.warn({ msg: 'traces could not be sent', lost: spans.length, err: result.error })
      done(result)
    })
  }
}

/**
 * Sends a span of each request to the collector at OTEL_EXPORTER_OTLP_ENDPOINT, by HTTP in JSON. OpenTelemetry reads its
 * OTEL_… variables itself. The names are those of its semantic conventions for HTTP; no path and no query is told.
 */
export function startTracing(log: Logger): Tracing & { stop(): Promise<void> } {
  const service = resourceFromAttributes({ 'service.name': manifest.name, 'service.version': manifest.version })
  const environmentResource = detectResources({ detectors: [resourceAttributesEnvDetector, serviceNameEnvDetector] })
  const provider = new TracerProvider({
    resource: service.merge(environmentResource),
    spanProcessors: [new BatchSpanProcessor({ exporter: new LoggedExporter(log) })],
  })
  const tracer = provider.getTracer(manifest.name, manifest.version)
  return {
    begin(method, scheme, parent) {
      const attributes = { 'http.request.method': method, 'url.scheme': scheme }
      const context = parent ? toSpanContext(parent) : ROOT_CONTEXT
      const span = tracer.startSpan(method, { kind: SpanKind.SERVER, attributes }, context)
      const { traceId, spanId } = span.spanContext()
      return {
        traceId,
        spanId,
        end(route, status) {
          span.setAttribute('http.response.status_code', status)
          if (route) span.setAttribute('http.route', route).updateName(`${method} ${route}`)
          if (status >= 500) span.setAttribute('error.type', `${status}`).setStatus({ code: SpanStatusCode.ERROR })
          span.end()
        },
      }
    },
    async stop() {
      let timer: NodeJS.Timeout | undefined
      const late = new Promise<void>((resolve) => {
        timer = setTimeout(() => {
          log.warn({ msg: 'the last traces could not be sent in time' })
          resolve()
        }, spanExportTimeoutMs)
      })
      // What was refused is in the log already.
      await Promise.race([provider.shutdown().catch(() => {}), late])
      clearTimeout(timer)
    },
  }
}
