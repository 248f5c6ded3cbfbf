import type { ZodType } from 'zod'
import { getPermission, type PermissionName } from '../access/permissions.ts'
import { isPathCounted } from '../access/rate-limits.ts'
import {
  type OperationDescription,
  type ResponseDescription,
  respondsWithJson,
  type ValidatorMetadata,
} from '../http/operation-description.ts'
import { type ProblemType, problemTypes } from '../http/problem.ts'
import { describeDefaultLimit } from '../http/usage-limits.ts'
import { getBodyTypes } from '../http/validation.ts'
import { type Role, type RowScope, roles } from '../roles.ts'
import type { JsonSchema, SchemaComponents } from './schema-components.ts'
import { getTagName, type TagDescription } from './tag-description.ts'

/** One route, as its guard and its validators tell of it. */
export type DescribedRoute = {
  method: string
  path: string
  permission: PermissionName | 'anyone'
  operation: OperationDescription
  validators: ValidatorMetadata[]
}

const componentRef = (kind: string, componentName: string) => ({ $ref: `#/components/${kind}/${componentName}` })

/** JSON of a schema, with an example where there is one. */
const describeJsonContent = (schema: JsonSchema, example: unknown) => ({
  'application/json': { schema, ...(example !== undefined && { example }) },
})
/** The body of an answer, with the example that there is of its schema. */
function describeJsonAnswer({ schema }: { schema: ZodType }, schemas: SchemaComponents) {
  const answered = schemas.toJsonSchema(schema, 'output')
  return describeJsonContent(answered, schemas.getExample(answered))
}

const requestIdHeader = { 'X-Request-Id': componentRef('headers', 'X-Request-Id') }
const buildHeaderRefs = (...names: (string | undefined)[]) => ({
  ...requestIdHeader,
  ...Object.fromEntries(names.flatMap((name) => (name ? [[name, componentRef('headers', name)]] : []))),
})

type ResponseObjects = Record<string, { description: string; headers?: object; content?: object }>

/** The answers of a route that went well. */
function describeSuccesses(answer: ResponseDescription, method: string, schemas: SchemaComponents): ResponseObjects {
  switch (answer.kind) {
    case 'record': {
      const content = describeJsonAnswer(answer, schemas)
      const found = { 200: { description: 'The record.', headers: buildHeaderRefs('ETag'), content } }
      const known = {
        304: { description: 'The record is still as the client has it.', headers: buildHeaderRefs('ETag') },
      }
      return method === 'get' ? { ...found, ...known } : found
    }
    case 'created': {
      const headers = buildHeaderRefs('ETag', 'Location', ...(answer.isIdempotent ? ['Idempotent-Replayed'] : []))
      const content = describeJsonAnswer(answer, schemas)
      return { 201: { description: 'The new record.', headers, content } }
    }
    case 'page': {
      const items = schemas.toJsonSchema(answer.schema, 'output')
      const schema = {
        type: 'object',
        properties: {
          results: { type: 'array', items },
          next: { type: ['string', 'null'], description: 'Where the next page is; null on the last.' },
          count: { type: 'integer', description: 'How many there are in all, where `count=true` asked for it.' },
        },
        required: ['results', 'next'],
        additionalProperties: false,
      }
      const example = { results: [schemas.getExample(items)], next: null }
      return {
        200: {
          description: 'A page of records.',
          headers: buildHeaderRefs('Link'),
          content: describeJsonContent(schema, example),
        },
      }
    }
    case 'json': {
      const content = describeJsonAnswer(answer, schemas)
      return { [answer.status]: { description: 'Done.', headers: requestIdHeader, content } }
    }
    case 'noContent':
      return { 204: { description: 'Done. There is nothing to say.', headers: requestIdHeader } }
    case 'binary': {
      const content = Object.fromEntries(answer.types.map((type) => [type, {}]))
      const fullResponse = { description: 'The bytes.', headers: requestIdHeader, content }
      if (!answer.hasEtag) return { 200: fullResponse }
      const part = {
        ...fullResponse,
        description: 'The range of bytes that was asked for.',
        headers: buildHeaderRefs('ETag'),
      }
      return {
        200: { ...fullResponse, headers: buildHeaderRefs('ETag') },
        ...(answer.takesRange && { 206: part }),
        304: { description: 'The client has the file already.', headers: buildHeaderRefs('ETag') },
      }
    }
  }
}

/** The two answers of a route as one, where it has two. */
function mergeResponses(a: ResponseObjects, b: ResponseObjects): ResponseObjects {
  const both = { ...b, ...a }
  const [one, other] = [a[200]?.content, b[200]?.content].map((content) => Object(content)['application/json'])
  if (!one || !other) return both
  const content = {
    'application/json': { schema: { oneOf: [one.schema, other.schema] }, example: one.example },
  }
  return { ...both, 200: { description: 'What the id is of.', headers: buildHeaderRefs('Link'), content } }
}

/** Permissions that reach no further than some of what the caller sees: beyond, the answer is 403. */
const relationScopes = new Set<RowScope | null>([
  null,
  'createdByCaller',
  'createdByOrSelf',
  'createdByOrTreatingDoctor',
  'ownProfile',
  'uploadedByCaller',
])

/** Whether a change is taken only for the version of the record that If-Match names. */
const operationTakesIfMatch = ({ responds }: OperationDescription, method: string) =>
  method !== 'get' && (responds.kind === 'record' || (responds.kind === 'noContent' && responds.takesIfMatch))

/** Whether an answer to it can be given again, as long as the caller sees what it made. */
const operationIsIdempotent = ({ responds }: OperationDescription) =>
  responds.kind === 'created' && responds.isIdempotent

/** Every problem that a route can answer with: what its guard and validators refuse, and what it says itself. */
function listProblemTypes({ method, path, permission, operation, validators }: DescribedRoute): ProblemType[] {
  const targets = new Set(validators.map(({ target }) => target))
  const some: [boolean, ProblemType[]][] = [
    [targets.has('query') || targets.has('json'), ['bad-request']],
    [isPathCounted(path) || operation.limits !== undefined, ['too-many-requests']],
    [permission !== 'anyone', ['unauthorized']],
    [
      permission !== 'anyone' && roles.some((role) => relationScopes.has(getPermission(permission)[role])),
      ['forbidden'],
    ],
    [targets.has('param'), ['not-found']],
    [respondsWithJson(operation), ['not-acceptable']],
    [operationTakesIfMatch(operation, method), ['precondition-failed']],
    [targets.has('json'), ['request-timeout', 'payload-too-large', 'unsupported-media-type']],
    [operationIsIdempotent(operation), ['idempotency-in-progress', 'idempotency-mismatch', 'not-found']],
    [operation.responds.kind === 'binary' && operation.responds.takesRange, ['range-not-satisfiable']],
  ]
  const derived = some.flatMap(([applies, types]) => (applies ? types : []))
  return [...new Set<ProblemType>([...derived, ...(operation.problems ?? []), 'internal', 'unavailable'])]
}

/** A refusal's answer, for all the problems that have its status. */
function describeProblemResponse(types: ProblemType[]) {
  const [first = 'internal'] = types
  const [status, title, fallback] = problemTypes[first]
  const errors = [{ path: 'name', message: 'must not be blank', code: 'too_small' }]
  const example = {
    type: `/problems/${first}`,
    title,
    status,
    detail: first === 'bad-request' ? 'name must not be blank.' : fallback,
    instance: '01a20866-0d3e-7c4d-9f00-112233445566',
    ...(first === 'bad-request' && { errors }),
  }
  const description = types.map((type) => `\`/problems/${type}\`: ${problemTypes[type][1]}.`).join(' ')
  const names: Partial<Record<ProblemType, string>> = {
    unauthorized: 'WWW-Authenticate',
    'too-many-requests': 'Retry-After',
    'idempotency-in-progress': 'Retry-After',
    unavailable: 'Retry-After',
  }
  // Where several problems share a status, a header is named only if each of them has it.
  const more = new Set(types.map((type) => names[type]))
  const content = { 'application/problem+json': { schema: componentRef('schemas', 'Problem'), example } }
  return { description, headers: buildHeaderRefs(...(more.size === 1 ? more : [])), content }
}

/** Refusals by status, each kept once among the document's components. */
function describeFailures(types: ProblemType[], sharedResponses: Record<string, unknown>) {
  const byStatus = Map.groupBy(types, (type) => problemTypes[type][0])
  return Object.fromEntries(
    [...byStatus].map(([status, same]) => {
      const name = same.toSorted().join('.')
      sharedResponses[name] ??= describeProblemResponse(same)
      return [status, componentRef('responses', name)]
    }),
  )
}

const roleNames: Record<Role, string> = { admin: 'Administrators', doctor: 'Doctors', patient: 'Patients' }
const scopeNames: Record<RowScope, string> = {
  all: 'all',
  visible: 'of the patients they see',
  createdByCaller: 'of the patients they added',
  createdByOrSelf: 'of the patients they added or are',
  createdByOrTreatingDoctor: 'of the patients they added, and their own mappings',
  ownProfile: 'their own',
  uploadedByCaller: 'those they uploaded',
}

/** Who may do it, in a sentence. */
function describePermission(permission: DescribedRoute['permission']): string {
  if (permission === 'anyone') return 'Needs no sign-in.'
  const row = getPermission(permission)
  const each = roles.flatMap((role) => {
    const scope = row[role]
    return scope ? [`${roleNames[role]}: ${scopeNames[scope]}.`] : []
  })
  return each.join(' ')
}

/** What it is held to beside what all requests are, in a sentence. */
const describeOperationLimits = ({ limits }: OperationDescription): string | undefined =>
  limits && `At most, by default: ${limits.map(describeDefaultLimit).join(', ')}.`

/** The query as parameters, one by one. */
function buildQueryParameters(validators: ValidatorMetadata[], schemas: SchemaComponents): object[] {
  return validators.flatMap(({ target, schema }) => {
    if (target !== 'query' || !schema) return []
    const { properties = {}, required = [] } = schemas.toJsonSchema(schema, 'input')
    return Object.entries(Object(properties)).map(([name, property]) => {
      const { description, ...rest } = Object(property)
      const isRequired = Array.isArray(required) && required.includes(name)
      return { name, in: 'query', required: isRequired, ...(description && { description }), schema: rest }
    })
  })
}

function buildParameters({ method, operation, validators, path }: DescribedRoute, schemas: SchemaComponents): object[] {
  const { responds } = operation
  const reads = method === 'get' && (responds.kind === 'record' || (responds.kind === 'binary' && responds.takesRange))
  return [
    ...[...path.matchAll(/:(\w+)/g)].map(([, name]) => componentRef('parameters', `path.${name}`)),
    ...buildQueryParameters(validators, schemas),
    ...(reads ? [componentRef('parameters', 'If-None-Match')] : []),
    ...(responds.kind === 'binary' && responds.takesRange ? [componentRef('parameters', 'Range')] : []),
    ...(operationTakesIfMatch(operation, method) ? [componentRef('parameters', 'If-Match')] : []),
    ...(operationIsIdempotent(operation) ? [componentRef('parameters', 'Idempotency-Key')] : []),
  ]
}

function buildRequestBody(
  { method, operation, validators }: DescribedRoute,
  schemas: SchemaComponents,
): object | undefined {
  const body = validators.find(({ target }) => target === 'json')
  if (body?.schema) {
    const schema = schemas.toJsonSchema(body.schema, 'input')
    const [content] = Object.values(describeJsonContent(schema, schemas.getExample(schema)))
    const types = getBodyTypes(method.toUpperCase()).map((type) => [type, content])
    return { required: !body.isOptional, content: Object.fromEntries(types) }
  }
  if (!operation.formSchema) return undefined
  const schema = schemas.toJsonSchema(operation.formSchema, 'input')
  return { required: true, content: { 'multipart/form-data': { schema } } }
}

/** One operation of the document. What its refusals have in common with others' goes into `sharedResponses`. */
export function buildOperation(
  route: DescribedRoute,
  tags: readonly TagDescription[],
  schemas: SchemaComponents,
  sharedResponses: Record<string, unknown>,
) {
  const { method, path, permission, operation } = route
  const answered = describeSuccesses(operation.responds, method, schemas)
  const body = buildRequestBody(route, schemas)
  return {
    operationId: operation.operationId,
    summary: operation.summary,
    description: [operation.description, describeOperationLimits(operation), describePermission(permission)]
      .filter(Boolean)
      .join('\n\n'),
    tags: [getTagName(tags, permission, path)],
    security: permission === 'anyone' ? [] : [{ bearer: [] }],
    parameters: buildParameters(route, schemas),
    ...(body && { requestBody: body }),
    responses: {
      ...(operation.orResponds
        ? mergeResponses(answered, describeSuccesses(operation.orResponds, method, schemas))
        : answered),
      ...describeFailures(listProblemTypes(route), sharedResponses),
    },
  }
}
