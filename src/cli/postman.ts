import { writeFileSync } from 'node:fs'
import { app } from '../app.ts'
import { documentOf } from '../openapi/document.ts'
import { collectionOf } from './postman/collection.ts'

/** Writes the Postman collection into the file that is named. */
const [file = 'docs/hospital.postman_collection.json'] = process.argv.slice(2)
writeFileSync(file, `${JSON.stringify(collectionOf(documentOf(app.routes)), null, 2)}\n`)
