import { writeFileSync } from 'node:fs'
import { app, openApiTags } from '../app.ts'
import { buildOpenApiDocument } from '../openapi/document.ts'
import { buildPostmanCollection } from './postman/collection.ts'

/** Writes the Postman collection into the file that is named. */
const [file = 'docs/hospital.postman_collection.json'] = process.argv.slice(2)
writeFileSync(
  file,
  `${JSON.stringify(buildPostmanCollection(buildOpenApiDocument(app.routes, openApiTags)), null, 2)}\n`,
)
