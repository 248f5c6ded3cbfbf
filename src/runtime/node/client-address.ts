import type { IncomingMessage } from 'node:http'
import { BlockList, isIP, isIPv6 } from 'node:net'

/** IPv4 in IPv6 clothes (`::ffff:192.0.2.1`) is IPv4. */
const unmapIpv4 = (address: string) => address.replace(/^::ffff:(?=\d+\.)/i, '')
const getAddressFamily = (address: string) => (isIPv6(address) ? 'ipv6' : 'ipv4')

/**
 * Who sent a request and whether over https. Forwarded headers count only where the connection, and each hop before
 * it, comes from one of `proxies` (addresses or networks): anyone can write them.
 */
export function createTrustedProxyResolver(proxies: readonly string[]) {
  const trusted = new BlockList()
  for (const proxy of proxies) {
    const [address = '', bits] = proxy.split('/')
    trusted.addSubnet(
      address,
      bits === undefined ? (isIPv6(address) ? 128 : 32) : Number(bits),
      getAddressFamily(address),
    )
  }
  const isTrusted = (address: string) => proxies.length > 0 && trusted.check(address, getAddressFamily(address))

  return ({
    socket,
    headers,
  }: Pick<IncomingMessage, 'socket' | 'headers'>): { clientAddress: string; isHttps: boolean } => {
    let address = unmapIpv4(socket.remoteAddress ?? '')
    if (!isTrusted(address)) return { clientAddress: address, isHttps: false }
    const forwardedHops = String(headers['x-forwarded-for'] ?? '')
      .split(',')
      .map((hop) => unmapIpv4(hop.trim()))
    while (isTrusted(address)) {
      const hop = forwardedHops.pop()
      if (!hop || !isIP(hop)) break
      address = hop
    }
    return { clientAddress: address, isHttps: headers['x-forwarded-proto'] === 'https' }
  }
}
