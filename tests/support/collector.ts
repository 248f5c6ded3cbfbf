import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { afterAll } from 'vitest'
import * as z from 'zod'

const Attribute = z.object({
  key: z.string(),
  value: z.object({ stringValue: z.string(), intValue: z.number() }).partial(),
})
const attributes = z
  .array(Attribute)
  .transform((list) => Object.fromEntries(list.map(({ key, value }) => [key, value.stringValue ?? value.intValue])))
const Span = z.object({
  traceId: z.string(),
  spanId: z.string(),
  parentSpanId: z.string().optional(),
  name: z.string(),
  kind: z.number(),
  startTimeUnixNano: z.coerce.bigint(),
  endTimeUnixNano: z.coerce.bigint(),
  attributes,
  status: z.object({ code: z.number() }),
})
const Traces = z.object({
  resourceSpans: z.array(
    z.object({ resource: z.object({ attributes }), scopeSpans: z.array(z.object({ spans: z.array(Span) })) }),
  ),
})

/** A collector of OpenTelemetry's traces, which takes OTLP by HTTP in JSON. Without `status` it never answers. */
export async function collector(status: number | undefined) {
  const spans: z.output<typeof Span>[] = []
  const resources: z.output<typeof attributes>[] = []
  const requests: { url: string | undefined; headers: IncomingHttpHeaders }[] = []
  const server = createServer(async (request, response) => {
    requests.push({ url: request.url, headers: request.headers })
    if (status === undefined) return
    const { resourceSpans } = Traces.parse(JSON.parse((await request.toArray()).join('')))
    for (const { resource, scopeSpans } of resourceSpans) {
      resources.push(resource.attributes)
      spans.push(...scopeSpans.flatMap((scope) => scope.spans))
    }
    response.writeHead(status, { 'Content-Type': 'application/json' }).end('{}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  afterAll(() => {
    server.closeAllConnections()
    server.close()
  })
  const address = server.address()
  if (typeof address !== 'object' || !address) throw new Error('a listening server has no address')
  return { url: `http://127.0.0.1:${address.port}`, spans, resources, requests }
}
