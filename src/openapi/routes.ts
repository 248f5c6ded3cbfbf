import { type Context, Hono } from 'hono'
import * as z from 'zod'
import { allowAnyone } from '../access/can.ts'
import type { AppEnv, DocsAssetName } from '../context.ts'
import { matchesIfNoneMatch } from '../http/etag.ts'
import { binaryResponse, jsonResponse } from '../http/operation-description.ts'
import { noQuery } from '../http/validation.ts'
import { docsAssetTypes, docsContentSecurityPolicy, docsHtml, docsStartScript } from './docs-page.ts'
import { buildOpenApiDocument, type HonoRoute } from './document.ts'
import type { TagDescription } from './tag-description.ts'

const OpenApiDocumentResponse = z.looseObject({ openapi: z.string(), paths: z.looseObject({}) })
const cssResponse = binaryResponse(['text/css'], { hasEtag: true })
const startScriptResponse = binaryResponse(['text/javascript'])
const scriptResponse = binaryResponse(['text/javascript'], { hasEtag: true })

/** Whether an Accept-Encoding header takes gzip (RFC 9110, section 12.5.3). */
const takesGzip = (header = '') => /(?:^|,)\s*(?:gzip|\*)\s*(?:$|,|;\s*q=(?!0(?:\.0*)?\s*(?:$|,)))/i.test(header)

async function respondWithAsset(c: Context<AppEnv>, name: DocsAssetName) {
  const preferred = takesGzip(c.req.header('Accept-Encoding')) ? 'gzip' : 'identity'
  const { body, coding, version } = await c.env.docsAssets(name, preferred)
  const tag = coding === 'gzip' ? `"${version}-gzip"` : `"${version}"`
  const headers = { ETag: tag, 'Cache-Control': 'public, max-age=3600', Vary: 'Accept-Encoding' }
  if (matchesIfNoneMatch(c.req.header('If-None-Match'), version)) {
    if (body instanceof ReadableStream) await body.cancel()
    return c.body(null, 304, headers)
  }
  if (coding === 'gzip') c.header('Content-Encoding', coding)
  return c.body(body, 200, { ...headers, 'Content-Type': docsAssetTypes[name] })
}

/** The document that tells of `routes` and `tags`, made when it is first asked for, and the page on which to try them. */
export function createDocsRoutes(routes: readonly HonoRoute[], tags: readonly TagDescription[]) {
  // As bytes: a text would be encoded anew for each connection that reads slowly.
  let documentText: Uint8Array<ArrayBuffer> | undefined
  return new Hono<AppEnv>()
    .get(
      '/openapi.json',
      allowAnyone({
        operationId: 'getOpenApi',
        summary: 'Get this document',
        responds: jsonResponse(OpenApiDocumentResponse),
      }),
      noQuery(),
      (c) => {
        documentText ??= new TextEncoder().encode(JSON.stringify(buildOpenApiDocument(routes, tags)))
        return c.body(documentText, 200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-cache' })
      },
    )
    .get(
      '/docs',
      allowAnyone({
        operationId: 'getDocs',
        summary: 'Try the API in a browser',
        responds: binaryResponse(['text/html']),
      }),
      noQuery(),
      (c) =>
        c.html(docsHtml, 200, { 'Content-Security-Policy': docsContentSecurityPolicy, 'Cache-Control': 'no-cache' }),
    )
    .get(
      '/docs/start.js',
      allowAnyone({ operationId: 'getDocsStart', summary: 'Get what starts the page', responds: startScriptResponse }),
      noQuery(),
      (c) =>
        c.body(docsStartScript, 200, {
          'Content-Type': docsAssetTypes['swagger-ui-bundle.js'],
          'Cache-Control': 'no-cache',
        }),
    )
    .get(
      '/docs/swagger-ui.css',
      allowAnyone({ operationId: 'getDocsStyle', summary: 'Get the style of the page', responds: cssResponse }),
      noQuery(),
      (c) => respondWithAsset(c, 'swagger-ui.css'),
    )
    .get(
      '/docs/swagger-ui-bundle.js',
      allowAnyone({ operationId: 'getDocsScript', summary: 'Get the script of the page', responds: scriptResponse }),
      noQuery(),
      (c) => respondWithAsset(c, 'swagger-ui-bundle.js'),
    )
}
