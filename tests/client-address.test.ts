import { once } from 'node:events'
import { createServer, request } from 'node:http'
import { expect, it } from 'vitest'
import { createTrustedProxyResolver } from '../src/runtime/node/client-address.ts'

/** Who a request over loopback is taken to be from, behind these proxies and with these headers. */
async function senderOf(proxies: string[], headers: Record<string, string>): Promise<unknown> {
  const seen = createTrustedProxyResolver(proxies)
  const server = createServer((incoming, outgoing) => outgoing.end(JSON.stringify(seen(incoming))))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (typeof address !== 'object' || !address) throw new Error('the server has no port')
  const sent = request({ port: address.port, host: '127.0.0.1', headers, agent: false }).end()
  const [response] = await once(sent, 'response')
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk)
  server.close()
  return JSON.parse(Buffer.concat(chunks).toString())
}

const spoofed = { 'X-Forwarded-For': '203.0.113.9', 'X-Forwarded-Proto': 'https' }
const loopback = { clientAddress: '127.0.0.1', isHttps: false }

it.each([
  ['nobody is trusted', [], spoofed, loopback],
  ['others are trusted', ['10.0.0.0/8'], spoofed, loopback],
  ['the proxy is trusted', ['127.0.0.1'], spoofed, { clientAddress: '203.0.113.9', isHttps: true }],
  ['a network of proxies is trusted', ['127.0.0.0/8', '::1'], spoofed, { clientAddress: '203.0.113.9', isHttps: true }],
  [
    'the client lies before the proxy',
    ['127.0.0.1'],
    { 'X-Forwarded-For': '192.0.2.66, 203.0.113.9' },
    { clientAddress: '203.0.113.9', isHttps: false },
  ],
  [
    'there are two trusted proxies',
    ['127.0.0.1', '10.1.0.0/16'],
    { 'X-Forwarded-For': '203.0.113.9, 10.1.2.3' },
    { clientAddress: '203.0.113.9', isHttps: false },
  ],
  [
    'the hop is IPv4 in IPv6',
    ['127.0.0.1'],
    { 'X-Forwarded-For': '::ffff:203.0.113.9' },
    { clientAddress: '203.0.113.9', isHttps: false },
  ],
  ['the hop is no address', ['127.0.0.1'], { 'X-Forwarded-For': 'unknown' }, loopback],
  ['the proxy says nothing', ['127.0.0.1'], {}, loopback],
])('a request is taken to be from the right address where %s', async (_, proxies, headers, expected) => {
  expect(await senderOf(proxies, headers)).toEqual(expected)
})
