/** What the page takes from Swagger UI, and what each file is. */
export const docsAssetTypes = {
  'swagger-ui.css': 'text/css; charset=utf-8',
  'swagger-ui-bundle.js': 'text/javascript; charset=utf-8',
} as const

/** Nothing of anyone else's: the page may load and ask this server alone. Swagger UI puts styles and images inline. */
export const docsContentSecurityPolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

/** The page at `/docs`. */
export const docsHtml = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Hospital API</title>
    <link rel="icon" href="data:,">
    <link rel="stylesheet" href="/docs/swagger-ui.css">
  </head>
  <body>
    <div id="docs"></div>
    <noscript>This page needs JavaScript. The document it shows is at <a href="/openapi.json">/openapi.json</a>.</noscript>
    <script src="/docs/swagger-ui-bundle.js"></script>
    <script src="/docs/start.js"></script>
  </body>
</html>
`

/** Runs in the browser. Whoever signs in on the page is signed in on the page. */
export const docsStartScript = `const signsIn = /\\/api\\/auth\\/(register|login|refresh)$/
const signsOut = /\\/api\\/auth\\/logout(-all)?$/

const ui = SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#docs',
  deepLinking: true,
  displayRequestDuration: true,
  persistAuthorization: true,
  tryItOutEnabled: true,
  validatorUrl: null,
  responseInterceptor(response) {
    const { pathname } = new URL(response.url, location.href)
    const schema = { type: 'http', scheme: 'bearer' }
    const bearer = { name: 'bearer', schema, value: response.obj?.access }
    if (response.ok && signsIn.test(pathname)) ui.authActions.authorizeWithPersistOption({ bearer })
    if (response.ok && signsOut.test(pathname)) ui.authActions.logoutWithPersistOption(['bearer'])
    return response
  },
})
`
