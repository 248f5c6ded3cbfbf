import { writeFileSync } from 'node:fs'
import { app } from '../app.ts'
import { documentOf } from '../openapi/document.ts'

/** Writes the OpenAPI document into the file that is named, or else prints it. */
const text = `${JSON.stringify(documentOf(app.routes), null, 2)}\n`
const [file] = process.argv.slice(2)
if (file) writeFileSync(file, text)
else process.stdout.write(text)
