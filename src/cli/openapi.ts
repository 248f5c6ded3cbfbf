import { writeFileSync } from 'node:fs'
import { app, openApiTags } from '../app.ts'
import { buildOpenApiDocument } from '../openapi/document.ts'

/** Writes the OpenAPI document into the file that is named, or else prints it. */
const documentText = `${JSON.stringify(buildOpenApiDocument(app.routes, openApiTags), null, 2)}\n`
const [file] = process.argv.slice(2)
if (file) writeFileSync(file, documentText)
else process.stdout.write(documentText)
