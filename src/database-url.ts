/** Where a server listens. */
export type DatabaseHost = { host: string; port: number }

/** A URL of one or more servers, taken apart. */
export type DatabaseUrl = {
  /** The same with the first host alone, as `URL` and the driver read it. */
  url: URL
  hosts: [DatabaseHost, ...DatabaseHost[]]
  /** Which of the servers is meant (libpq's `target_session_attrs`). */
  targetSessionAttrs: string | undefined
}

const urlPattern = /^(postgres(?:ql)?:\/\/(?:[^/?#]*@)?)([^/?#@]*)(.*)$/is
const defaultPort = '5432'

/**
 * Takes `postgres://user:password@a:5432,b:5432/database?target_session_attrs=read-write` apart (PostgreSQL, "Connection
 * URIs"). Undefined where it is no URL of that form.
 */
export function parseDatabaseUrl(text: string): DatabaseUrl | undefined {
  const [, start, authority, rest] = urlPattern.exec(text) ?? []
  if (start === undefined || authority === undefined || rest === undefined) return undefined
  const urls = authority.split(/,|%2c/i).map((host) => URL.parse(`${start}${host}${rest}`))
  const hosts = urls.flatMap((url) => (url?.hostname ? [{ host: toHost(url), port: toPort(url) }] : []))
  const [url] = urls
  const [first, ...others] = hosts
  if (!url || !first || hosts.length < urls.length) return undefined
  const targetSessionAttrs = url.searchParams.get('target_session_attrs') ?? undefined
  return { url, hosts: [first, ...others], targetSessionAttrs }
}

/** `URL` keeps the brackets of an IPv6 address, which a socket does not take. */
const toHost = ({ hostname }: URL) => decodeURIComponent(hostname).replace(/^\[(.*)\]$/, '$1')
const toPort = ({ port }: URL) => Number(port || defaultPort)
