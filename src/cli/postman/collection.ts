import type { buildOpenApiDocument } from '../../openapi/document.ts'
import { firstSteps, lastSteps, type WalkStep } from './walk.ts'

type OpenApiDocument = ReturnType<typeof buildOpenApiDocument>

const getPath = (value: unknown, ...keys: string[]): unknown =>
  keys.reduce<unknown>((inner, key) => (inner === Object(inner) ? Reflect.get(Object(inner), key) : undefined), value)
const keysOf = (value: unknown) => Object.keys(Object(value))

/** Which variable stands for the id in a path, and keeps the id of what is made there. */
const getIdVariable = (path: string): string => {
  const [, singular = ''] = /^\/api\/(?:auth\/)?(\w+)s(?:\/|$)/.exec(path) ?? []
  return `${singular}Id`
}

/** A report's form as it goes over the wire, so that the collection needs no file beside it. */
const reportForm = [
  ...['title', 'kind'].map(
    (name) =>
      `--part\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${name === 'kind' ? 'lab' : 'Blood count'}\r\n`,
  ),
  '--part\r\nContent-Disposition: form-data; name="file"; filename="blood.txt"\r\n\r\nhaemoglobin 14\r\n',
  '--part--\r\n',
].join('')

function buildBody(operation: unknown, step: WalkStep) {
  const content = getPath(operation, 'requestBody', 'content')
  if (getPath(content, 'multipart/form-data'))
    return {
      header: [{ key: 'Content-Type', value: 'multipart/form-data; boundary=part' }],
      body: { mode: 'raw', raw: reportForm },
    }
  const json = getPath(content, 'application/json')
  if (!json) return { header: [] }
  const raw = JSON.stringify({ ...Object(getPath(json, 'example')), ...step.body }, null, 2)
  return {
    header: [{ key: 'Content-Type', value: 'application/json' }],
    body: { mode: 'raw', raw, options: { raw: { language: 'json' } } },
  }
}

/** What Postman checks of the answer, and what it keeps of it. */
function buildTestScript(operation: unknown, { statuses, saves = {} }: WalkStep): string[] {
  const good =
    statuses ??
    keysOf(getPath(operation, 'responses'))
      .map(Number)
      .filter((status) => status < 300 && status !== 206)
  const kept = Object.entries(saves)
  return [
    `pm.test('answers ${good.join(' or ')}', () => pm.expect(pm.response.code).to.be.oneOf([${good.join(', ')}]))`,
    ...(kept.length > 0 ? ['const answer = pm.response.json()'] : []),
    ...kept.map(([name, expression]) => `pm.collectionVariables.set('${name}', ${expression})`),
  ]
}

/** The operations of the document, each with where it stands. */
const listOperations = (document: OpenApiDocument) =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      id: String(getPath(operation, 'operationId')),
      path,
      method,
      operation,
    })),
  )
type ListedOperation = ReturnType<typeof listOperations>[number]

/** The whole walk: its steps, and one for each operation that none of them names. */
export function buildApiWalk(document: OpenApiDocument): WalkStep[] {
  const named = new Set([...firstSteps, ...lastSteps].map(({ id }) => id))
  const others = listOperations(document).filter(({ id }) => !named.has(id))
  const toStep = ({ id, path, operation }: ListedOperation): WalkStep =>
    getPath(operation, 'responses', '201') ? { id, saves: { [getIdVariable(path)]: 'answer.id' } } : { id }
  return [...firstSteps, ...others.map(toStep), ...lastSteps]
}

function buildRequest(operations: ListedOperation[], step: WalkStep) {
  const found = operations.find(({ id }) => id === step.id)
  if (!found) throw new Error(`the document has no operation ${step.id}`)
  const { path, method, operation } = found
  const query = Object.entries(step.query ?? {}).map(([key, value]) => ({ key, value }))
  const where = path.replace('{id}', `{{${getIdVariable(path)}}}`)
  const search = query.length > 0 ? `?${query.map(({ key, value }) => `${key}=${value}`).join('&')}` : ''
  const open = getPath(operation, 'security', 'length') === 0
  return {
    name: String(getPath(operation, 'summary')),
    request: {
      method: method.toUpperCase(),
      description: String(getPath(operation, 'description')),
      ...(open && { auth: { type: 'noauth' } }),
      ...buildBody(operation, step),
      url: { raw: `{{baseUrl}}${where}${search}`, host: ['{{baseUrl}}'], path: where.split('/').slice(1), query },
    },
    event: [{ listen: 'test', script: { type: 'text/javascript', exec: buildTestScript(operation, step) } }],
    tag: String(getPath(operation, 'tags', '0')),
  }
}

/** The walk in folders: one for each run of requests about the same thing. */
function buildFolders(document: OpenApiDocument) {
  const operations = listOperations(document)
  const folders: { name: string; item: object[] }[] = []
  for (const { tag, ...item } of buildApiWalk(document).map((step) => buildRequest(operations, step))) {
    if (folders.at(-1)?.name !== tag) folders.push({ name: tag, item: [] })
    folders.at(-1)?.item.push(item)
  }
  return folders
}

/** A Postman collection (format 2.1.0) that walks the whole API, made of its OpenAPI document. */
export const buildPostmanCollection = (document: OpenApiDocument) => ({
  info: {
    name: document.info.title,
    description:
      'Run it from top to bottom. On an empty database the account of `email` and `password` becomes the administrator; elsewhere set these two variables to an administrator’s. `baseUrl` is where the API is.',
    schema: 'https://schema.getpostman.com/json/collection/v2.1.0/collection.json',
  },
  auth: { type: 'bearer', bearer: [{ key: 'token', value: '{{access}}', type: 'string' }] },
  event: [
    {
      listen: 'prerequest',
      script: {
        type: 'text/javascript',
        exec: ["if (!pm.collectionVariables.get('run')) pm.collectionVariables.set('run', Date.now())"],
      },
    },
  ],
  variable: Object.entries({
    baseUrl: 'http://127.0.0.1:8000',
    email: 'ada@example.org',
    password: 'a long password',
    run: '',
  }).map(([key, value]) => ({ key, value })),
  item: buildFolders(document),
})
