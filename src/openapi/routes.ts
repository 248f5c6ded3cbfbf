import { type Context, Hono } from 'hono'
import * as z from 'zod'
import { anyone } from '../access/can.ts'
import type { App } from '../env.ts'
import { content, plain } from '../http/about.ts'
import { hasAlready } from '../http/etag.ts'
import { noQuery } from '../http/valid.ts'
import { documentOf, type Registered } from './document.ts'
import { type AssetName, assetTypes, page, policy, start } from './page.ts'

const Document = z.looseObject({ openapi: z.string(), paths: z.looseObject({}) })
const css = content(['text/css'], { tagged: true })
const js = content(['text/javascript'])
const script = content(['text/javascript'], { tagged: true })

/** Whether an Accept-Encoding header takes gzip (RFC 9110, section 12.5.3). */
const takesGzip = (header = '') => /(?:^|,)\s*(?:gzip|\*)\s*(?:$|,|;\s*q=(?!0(?:\.0*)?\s*(?:$|,)))/i.test(header)

async function asset(c: Context<App>, name: AssetName) {
  const preferred = takesGzip(c.req.header('Accept-Encoding')) ? 'gzip' : 'identity'
  const { body, coding, version } = await c.env.assets(name, preferred)
  const tag = coding === 'gzip' ? `"${version}-gzip"` : `"${version}"`
  const headers = { ETag: tag, 'Cache-Control': 'public, max-age=3600', Vary: 'Accept-Encoding' }
  if (hasAlready(c.req.header('If-None-Match'), version)) {
    if (body instanceof ReadableStream) await body.cancel()
    return c.body(null, 304, headers)
  }
  if (coding === 'gzip') c.header('Content-Encoding', coding)
  return c.body(body, 200, { ...headers, 'Content-Type': assetTypes[name] })
}

/** The document that tells of `routes`, made when it is first asked for, and the page on which to try them. */
export function documentRoutes(routes: readonly Registered[]) {
  // As bytes: a text would be encoded anew for each connection that reads slowly.
  let made: Uint8Array<ArrayBuffer> | undefined
  return new Hono<App>()
    .get(
      '/openapi.json',
      anyone({ id: 'getOpenApi', summary: 'Get this document', answers: plain(Document) }),
      noQuery(),
      (c) => {
        made ??= new TextEncoder().encode(JSON.stringify(documentOf(routes)))
        return c.body(made, 200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-cache' })
      },
    )
    .get(
      '/docs',
      anyone({ id: 'getDocs', summary: 'Try the API in a browser', answers: content(['text/html']) }),
      noQuery(),
      (c) => c.html(page, 200, { 'Content-Security-Policy': policy, 'Cache-Control': 'no-cache' }),
    )
    .get(
      '/docs/start.js',
      anyone({ id: 'getDocsStart', summary: 'Get what starts the page', answers: js }),
      noQuery(),
      (c) => c.body(start, 200, { 'Content-Type': assetTypes['swagger-ui-bundle.js'], 'Cache-Control': 'no-cache' }),
    )
    .get(
      '/docs/swagger-ui.css',
      anyone({ id: 'getDocsStyle', summary: 'Get the style of the page', answers: css }),
      noQuery(),
      (c) => asset(c, 'swagger-ui.css'),
    )
    .get(
      '/docs/swagger-ui-bundle.js',
      anyone({ id: 'getDocsScript', summary: 'Get the script of the page', answers: script }),
      noQuery(),
      (c) => asset(c, 'swagger-ui-bundle.js'),
    )
}
