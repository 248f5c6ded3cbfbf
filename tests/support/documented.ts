import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import { app, openApiTags } from '../../src/app.ts'
import { buildOpenApiDocument } from '../../src/openapi/document.ts'

/** What the API says of itself. */
export const document = buildOpenApiDocument(app.routes, openApiTags)

const ajv = new Ajv2020({ strict: false, allErrors: true })
formats.default(ajv)
ajv.addSchema(document, 'api')

export const at = (value: unknown, ...keys: string[]): unknown =>
  keys.reduce<unknown>(
    (inner, key) => (typeof inner === 'object' && inner !== null ? Reflect.get(inner, key) : undefined),
    value,
  )
export const keysOf = (value: unknown): string[] =>
  typeof value === 'object' && value !== null ? Object.keys(value) : []

/** What a JSON pointer of the document leads to. */
const resolved = (value: unknown): unknown => {
  const pointer = at(value, '$ref')
  return typeof pointer === 'string' ? at(document, ...pointer.slice(2).split('/')) : value
}

const templates = Object.entries(document.paths).map(([template, operations]) => ({
  template,
  pattern: new RegExp(`^${template.replace(/\{\w+\}/g, '[^/]+')}/?$`),
  methods: new Map(Object.entries(operations).map(([name, operation]) => [name.toUpperCase(), { name, operation }])),
}))

/** The operation that a request is, and where the document keeps it. */
function operationFor(method: string, path: string) {
  const pathname = path.replace(/^https?:\/\/[^/]+/, '').replace(/[?#].*/, '')
  const found = templates.find(({ pattern }) => pattern.test(pathname))
  const known = found?.methods.get(method === 'HEAD' ? 'GET' : method)
  return found && known && { template: found.template, ...known }
}

/** @throws {Error} where the answer to a request is not as the OpenAPI document says */
export function expectDocumented(method: string, path: string, status: number, headers: Headers, body: unknown): void {
  const fail = (why: string): never => {
    throw new Error(`${method} ${path} → ${status}: ${why}, says the OpenAPI document`)
  }
  if (headers.get('Content-Type') === 'application/problem+json' && method !== 'HEAD') expectExplained(body)
  const found = operationFor(method, path)
  if (!found) {
    // An unknown path or method, or what can be asked of every path.
    if (status !== 404 && status !== 405 && method !== 'OPTIONS') fail('there is no such operation')
    return
  }
  const response = at(found.operation, 'responses', String(status))
  if (response === undefined) fail('there is no such status')
  const told = at(resolved(response), 'headers')
  for (const name of keysOf(told))
    if (at(resolved(at(told, name)), 'required') === true && !headers.has(name)) fail(`${name} is there`)
  const contents = at(resolved(response), 'content')
  const type = headers.get('Content-Type')?.split(';')[0] ?? ''
  if (contents === undefined) {
    if (type !== '') fail('there is no body')
    return
  }
  if (!keysOf(contents).includes(type)) fail(`${type} is no type of the answer`)
  if (body === undefined || method === 'HEAD') return
  const pointer = ['paths', found.template, found.name, 'responses', String(status)]
  const reference = at(response, '$ref')
  const base = typeof reference === 'string' ? reference.slice(1) : `/${pointer.map(escaped).join('/')}`
  const validate = ajv.getSchema(`api#${base}/content/${escaped(type)}/schema`)
  if (!validate) throw new Error(`no schema at ${base}`)
  if (!validate(body)) fail(`the body is wrong: ${ajv.errorsText(validate.errors)}`)
}

/**
 * @throws {Error} where a problem does not say, in a sentence of its own, what was wrong or what to do, and of a 400
 * which field
 */
export function expectExplained(body: unknown): void {
  const detail = at(body, 'detail')
  const sentence = typeof detail === 'string' ? detail : ''
  const errors = at(body, 'errors')
  const faults = Array.isArray(errors) ? errors : []
  const named = faults.every((fault) =>
    sentence.includes(`${at(fault, 'path') || 'The request'} ${at(fault, 'message')}`),
  )
  const isPlain = !/undefined|received|Invalid|expected/.test(sentence)
  if (!/.+ .+\.$/s.test(sentence) || sentence === at(body, 'title') || !named || !isPlain)
    throw new Error(`a problem that is not explained: ${JSON.stringify(body)}`)
}

const escaped = (key: string) => encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'))
