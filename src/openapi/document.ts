import manifest from '../../package.json' with { type: 'json' }
import { type Guard, guardMetadata } from '../access/can.ts'
import { operationMetadata, type ValidatorMetadata, validatorMetadata } from '../http/operation-description.ts'
import { problemTypes } from '../http/problem.ts'
import { describeDefaultLimit, usageLimitSettings } from '../http/usage-limits.ts'
import { buildOperation, type DescribedRoute } from './operation.ts'
import { SchemaComponents } from './schema-components.ts'
import type { TagDescription } from './tag-description.ts'

/** A route of Hono's: each of its handlers is one. */
export type HonoRoute = { method: string; path: string; handler: object }

const isGuard = (handler: object): handler is Guard => guardMetadata in handler
const isValidator = (handler: object): handler is { [validatorMetadata]: ValidatorMetadata } =>
  validatorMetadata in handler

/** The routes with what their guards and validators say of them. */
function collectRoutes(routes: readonly HonoRoute[]): DescribedRoute[] {
  const byRoute = Map.groupBy(routes, ({ method, path }) => `${method} ${path.replace(/(?<=.)\/$/, '')}`)
  return [...byRoute].flatMap(([route, handlers]) => {
    const [method = '', path = ''] = route.split(' ')
    const first = handlers.map(({ handler }) => handler).find(isGuard)
    if (!first) return []
    const validators = handlers.flatMap(({ handler }) => (isValidator(handler) ? [handler[validatorMetadata]] : []))
    return [
      {
        method: method.toLowerCase(),
        path,
        permission: first[guardMetadata],
        operation: first[operationMetadata],
        validators,
      },
    ]
  })
}

const stringSchema = { type: 'string' }
const describeHeader = (description: string, schema: object = stringSchema) => ({ description, required: true, schema })
/** One that is there only where it has something to say. */
const describeOptionalHeader = (description: string) => ({ description, schema: stringSchema })
const describeParameter = (name: string, description: string, where = 'header', schema: object = stringSchema) => ({
  name,
  in: where,
  required: where === 'path',
  description,
  schema,
})

const headerComponents = {
  'X-Request-Id': describeHeader(
    'The id of the request: the client’s own where it sent one. Name it when you report a fault.',
  ),
  ETag: describeHeader('The version of what is shown, for `If-Match` and `If-None-Match`.'),
  Location: describeHeader('Where the new record is.'),
  Link: describeOptionalHeader('Where the next page is, as `rel="next"`.'),
  'Idempotent-Replayed': describeOptionalHeader('`true` where an earlier answer is given again.'),
  'WWW-Authenticate': describeHeader('`Bearer`'),
  'Retry-After': describeHeader('In how many seconds to try again.', { type: 'integer' }),
}

const parameterComponents = {
  'path.id': describeParameter('id', 'The id of the record.', 'path', { type: 'string', format: 'uuid' }),
  'If-None-Match': describeParameter('If-None-Match', 'The ETag that the client has: 304 where it is the newest.'),
  'If-Match': describeParameter('If-Match', 'The ETag of the version to change: 412 where it is not the newest.'),
  'Idempotency-Key': describeParameter(
    'Idempotency-Key',
    'Makes it safe to send the request again: within 24 hours the same key and body give the first answer again. Another body is a 422; while the first request is under way, the answer is a 409.',
    'header',
    { type: 'string', minLength: 1, maxLength: 255, pattern: '^[!-~]+$' },
  ),
  Range: describeParameter('Range', 'The part of the file that is wanted, such as `bytes=0-1023`.'),
}

const problemSchema = {
  type: 'object',
  description: 'Why a request was refused (RFC 9457).',
  properties: {
    type: { type: 'string', enum: Object.keys(problemTypes).map((type) => `/problems/${type}`) },
    title: stringSchema,
    status: { type: 'integer' },
    detail: { type: 'string', description: 'What was wrong, or what to do, in a sentence.' },
    instance: { type: 'string', description: 'The id of the request.' },
    errors: {
      type: 'array',
      description: 'Every fault of a request that is not valid.',
      items: {
        type: 'object',
        properties: {
          path: { type: 'string', description: 'The field, such as `workingHours.0.from`; empty for the whole body.' },
          message: stringSchema,
          code: stringSchema,
        },
        required: ['path', 'message', 'code'],
        additionalProperties: false,
      },
    },
  },
  required: ['type', 'title', 'status', 'detail', 'instance'],
  additionalProperties: false,
}

const apiDescription = `**To begin**, \`POST /api/auth/register\`: outside production the first account becomes the administrator. Send its \`access\` token as
\`Authorization: Bearer …\` with everything else. On the page at \`/docs\`, whoever signs in is signed in: it keeps the token.

**Lists** are newest first unless sorted, and come in pages: \`limit\`, \`cursor\` (from \`next\`), \`count=true\`.
**Times** are RFC 3339 in UTC; input may carry any offset. **Errors** are RFC 9457 problems with a stable \`type\`; a 400
names every field at fault. An unknown field or parameter is a 400. **Versions**: send a record’s \`ETag\` back as
\`If-Match\` and nobody’s work is overwritten. **Retries**: an \`Idempotency-Key\` makes a POST safe to repeat.

**Limits**: beyond one the answer is a 429, \`detail\` says which it was and \`Retry-After\` when to try again. Each is a
setting of whoever runs this, 0 for none; by default:

${usageLimitSettings.map((name) => `- ${describeDefaultLimit(name)}`).join('\n')}

Requests to \`/api/auth\`, where failures are counted instead, and those of monitors are not counted.

HEAD is answered wherever GET is, OPTIONS everywhere; another method is a 405 with \`Allow\`. What a caller may not see
answers 404, exactly like what does not exist.`

/**
 * The API as an OpenAPI 3.1 document, made of what enforces it: the guards and validators of its routes. `tags` are what the
 * features say beside that, in the document's order.
 */
export function buildOpenApiDocument(routes: readonly HonoRoute[], tags: readonly TagDescription[]) {
  const schemas = new SchemaComponents(Object.assign({}, ...tags.map(({ examples }) => examples)))
  const responses = {}
  const paths: Record<string, Record<string, object>> = {}
  for (const route of collectRoutes(routes)) {
    const path = route.path.replace(/:(\w+)/g, '{$1}')
    paths[path] = { ...paths[path], [route.method]: buildOperation(route, tags, schemas, responses) }
  }
  return {
    openapi: '3.1.1',
    info: {
      title: 'Hospital API',
      version: manifest.version,
      summary: manifest.description,
      description: apiDescription,
    },
    servers: [{ url: '/' }],
    tags: tags.map(({ name, description }) => ({ name, description })),
    paths,
    components: {
      schemas: { ...schemas.components, Problem: problemSchema },
      responses,
      parameters: parameterComponents,
      headers: headerComponents,
      securitySchemes: {
        bearer: {
          type: 'http',
          scheme: 'bearer',
          bearerFormat: 'JWT',
          description: 'The `access` token of a sign-in.',
        },
      },
    },
  }
}
