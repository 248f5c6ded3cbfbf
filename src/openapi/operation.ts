import { describeLimit, isCounted } from '../access/limits.ts'
import type { PermissionName, Reach, Role } from '../access/permissions.ts'
import { permissionOf, roles } from '../access/permissions.ts'
import { type About, type Answer, isJson, type Taken } from '../http/about.ts'
import { type ProblemType, problems } from '../http/problem.ts'
import { typesOf } from '../http/valid.ts'
import { examples } from './examples.ts'
import type { JsonSchema, Schemas } from './schemas.ts'

/** One route, as its guard and its validators tell of it. */
export type Route = {
  method: string
  path: string
  permission: PermissionName | 'anyone'
  about: About
  taken: Taken[]
}

const ref = (kind: string, name: string) => ({ $ref: `#/components/${kind}/${name}` })
const nameOf = (schema: JsonSchema) => /#\/components\/schemas\/(\w+)$/.exec(String(schema.$ref))?.[1]

/** JSON of a schema, with the example that there is of it. */
function json(schema: JsonSchema, example: unknown = examples[nameOf(schema) ?? '']) {
  return { 'application/json': { schema, ...(example !== undefined && { example }) } }
}

const requestId = { 'X-Request-Id': ref('headers', 'X-Request-Id') }
const withHeaders = (...names: (string | undefined)[]) => ({
  ...requestId,
  ...Object.fromEntries(names.flatMap((name) => (name ? [[name, ref('headers', name)]] : []))),
})

type Responses = Record<string, { description: string; headers?: object; content?: object }>

/** The answers of a route that went well. */
function successes(answer: Answer, method: string, schemas: Schemas): Responses {
  switch (answer.kind) {
    case 'one': {
      const content = json(schemas.of(answer.schema, 'output'))
      const found = { 200: { description: 'The record.', headers: withHeaders('ETag'), content } }
      const known = { 304: { description: 'The record is still as the client has it.', headers: withHeaders('ETag') } }
      return method === 'get' ? { ...found, ...known } : found
    }
    case 'created': {
      const headers = withHeaders('ETag', 'Location', ...(answer.keyed ? ['Idempotent-Replayed'] : []))
      const content = json(schemas.of(answer.schema, 'output'))
      return { 201: { description: 'The new record.', headers, content } }
    }
    case 'page': {
      const items = schemas.of(answer.schema, 'output')
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
      const example = { results: [examples[nameOf(items) ?? '']], next: null }
      return {
        200: { description: 'A page of records.', headers: withHeaders('Link'), content: json(schema, example) },
      }
    }
    case 'plain': {
      const content = json(schemas.of(answer.schema, 'output'))
      return { [answer.status]: { description: 'Done.', headers: requestId, content } }
    }
    case 'nothing':
      return { 204: { description: 'Done. There is nothing to say.', headers: requestId } }
    case 'content': {
      const content = Object.fromEntries(answer.types.map((type) => [type, {}]))
      const whole = { description: 'The bytes.', headers: requestId, content }
      if (!answer.tagged) return { 200: whole }
      const part = { ...whole, description: 'The range of bytes that was asked for.', headers: withHeaders('ETag') }
      return {
        200: { ...whole, headers: withHeaders('ETag') },
        ...(answer.ranged && { 206: part }),
        304: { description: 'The client has the file already.', headers: withHeaders('ETag') },
      }
    }
  }
}

/** The two answers of a route as one, where it has two. */
function either(a: Responses, b: Responses): Responses {
  const both = { ...b, ...a }
  const [one, other] = [a[200]?.content, b[200]?.content].map((content) => Object(content)['application/json'])
  if (!one || !other) return both
  const content = {
    'application/json': { schema: { oneOf: [one.schema, other.schema] }, example: one.example },
  }
  return { ...both, 200: { description: 'What the id is of.', headers: withHeaders('Link'), content } }
}

/** Permissions that reach no further than some of what the caller sees: beyond, the answer is 403. */
const narrow = new Set<Reach | null>([null, 'added', 'addedOrIs', 'addedOrTreats', 'own', 'uploaded'])

/** Whether a change is taken only for the version of the record that If-Match names. */
const isVersioned = ({ answers }: About, method: string) =>
  method !== 'get' && (answers.kind === 'one' || (answers.kind === 'nothing' && answers.versioned))

/** Whether an answer to it can be given again, as long as the caller sees what it made. */
const isKeyed = ({ answers }: About) => answers.kind === 'created' && answers.keyed

/** Every problem that a route can answer with: what its guard and validators refuse, and what it says itself. */
function refusals({ method, path, permission, about, taken }: Route): ProblemType[] {
  const targets = new Set(taken.map(({ target }) => target))
  const some: [boolean, ProblemType[]][] = [
    [targets.has('query') || targets.has('json'), ['bad-request']],
    [isCounted(path) || about.limits !== undefined, ['too-many-requests']],
    [permission !== 'anyone', ['unauthorized']],
    [permission !== 'anyone' && roles.some((role) => narrow.has(permissionOf(permission)[role])), ['forbidden']],
    [targets.has('param'), ['not-found']],
    [isJson(about), ['not-acceptable']],
    [isVersioned(about, method), ['precondition-failed']],
    [targets.has('json'), ['request-timeout', 'payload-too-large', 'unsupported-media-type']],
    [isKeyed(about), ['idempotency-in-progress', 'idempotency-mismatch', 'not-found']],
    [about.answers.kind === 'content' && about.answers.ranged, ['range-not-satisfiable']],
  ]
  const derived = some.flatMap(([applies, types]) => (applies ? types : []))
  return [...new Set<ProblemType>([...derived, ...(about.problems ?? []), 'internal', 'unavailable'])]
}

/** A refusal's answer, for all the problems that have its status. */
function refusal(types: ProblemType[]) {
  const [first = 'internal'] = types
  const [status, title, fallback] = problems[first]
  const errors = [{ path: 'name', message: 'must not be blank', code: 'too_small' }]
  const example = {
    type: `/problems/${first}`,
    title,
    status,
    detail: first === 'bad-request' ? 'name must not be blank.' : fallback,
    instance: '01a20866-0d3e-7c4d-9f00-112233445566',
    ...(first === 'bad-request' && { errors }),
  }
  const description = types.map((type) => `\`/problems/${type}\`: ${problems[type][1]}.`).join(' ')
  const names: Partial<Record<ProblemType, string>> = {
    unauthorized: 'WWW-Authenticate',
    'too-many-requests': 'Retry-After',
    'idempotency-in-progress': 'Retry-After',
    unavailable: 'Retry-After',
  }
  // Where several problems share a status, a header is named only if each of them has it.
  const more = new Set(types.map((type) => names[type]))
  const content = { 'application/problem+json': { schema: ref('schemas', 'Problem'), example } }
  return { description, headers: withHeaders(...(more.size === 1 ? more : [])), content }
}

/** Refusals by status, each kept once among the document's components. */
function failures(types: ProblemType[], kept: Record<string, unknown>) {
  const byStatus = Map.groupBy(types, (type) => problems[type][0])
  return Object.fromEntries(
    [...byStatus].map(([status, same]) => {
      const name = same.toSorted().join('.')
      kept[name] ??= refusal(same)
      return [status, ref('responses', name)]
    }),
  )
}

const roleNames: Record<Role, string> = { admin: 'Administrators', doctor: 'Doctors', patient: 'Patients' }
const reachNames: Record<Reach, string> = {
  all: 'all',
  seen: 'of the patients they see',
  added: 'of the patients they added',
  addedOrIs: 'of the patients they added or are',
  addedOrTreats: 'of the patients they added, and their own mappings',
  own: 'their own',
  uploaded: 'those they uploaded',
}

/** Who may do it, in a sentence. */
function whoMay(permission: Route['permission']): string {
  if (permission === 'anyone') return 'Needs no sign-in.'
  const reached = permissionOf(permission)
  const each = roles.flatMap((role) => {
    const reach = reached[role]
    return reach ? [`${roleNames[role]}: ${reachNames[reach]}.`] : []
  })
  return each.join(' ')
}

/** What it is held to beside what all requests are, in a sentence. */
const heldTo = ({ limits }: About): string | undefined =>
  limits && `At most, by default: ${limits.map(describeLimit).join(', ')}.`

/** The query as parameters, one by one. */
function queryParameters(taken: Taken[], schemas: Schemas): object[] {
  return taken.flatMap(({ target, schema }) => {
    if (target !== 'query' || !schema) return []
    const { properties = {}, required = [] } = schemas.of(schema, 'input')
    return Object.entries(Object(properties)).map(([name, property]) => {
      const { description, ...rest } = Object(property)
      const needed = Array.isArray(required) && required.includes(name)
      return { name, in: 'query', required: needed, ...(description && { description }), schema: rest }
    })
  })
}

function parameters({ method, about, taken, path }: Route, schemas: Schemas): object[] {
  const { answers } = about
  const reads = method === 'get' && (answers.kind === 'one' || (answers.kind === 'content' && answers.ranged))
  return [
    ...[...path.matchAll(/:(\w+)/g)].map(([, name]) => ref('parameters', `path.${name}`)),
    ...queryParameters(taken, schemas),
    ...(reads ? [ref('parameters', 'If-None-Match')] : []),
    ...(answers.kind === 'content' && answers.ranged ? [ref('parameters', 'Range')] : []),
    ...(isVersioned(about, method) ? [ref('parameters', 'If-Match')] : []),
    ...(isKeyed(about) ? [ref('parameters', 'Idempotency-Key')] : []),
  ]
}

function requestBody({ method, about, taken }: Route, schemas: Schemas): object | undefined {
  const body = taken.find(({ target }) => target === 'json')
  if (body?.schema) {
    const [content] = Object.values(json(schemas.of(body.schema, 'input')))
    const types = typesOf(method.toUpperCase()).map((type) => [type, content])
    return { required: !body.optional, content: Object.fromEntries(types) }
  }
  if (!about.form) return undefined
  const schema = schemas.of(about.form, 'input')
  return { required: true, content: { 'multipart/form-data': { schema } } }
}

/** What each group of operations is called, where it is not the first word of the permission. */
const tags: Record<string, string> = {
  account: 'auth',
  sessions: 'auth',
  slots: 'appointments',
  doctorFeeds: 'calendar',
  patientFeeds: 'calendar',
}

function tagOf({ permission, path, about }: Route): string {
  if (about.answers.kind === 'content' && path.endsWith('.ics')) return 'calendar'
  const [word = ''] =
    permission === 'anyone' ? [path.startsWith('/api/auth/') ? 'auth' : 'operation'] : permission.split(':')
  return tags[word] ?? word
}

/** One operation of the document. What its refusals have in common with others' goes into `kept`. */
export function operationOf(route: Route, schemas: Schemas, kept: Record<string, unknown>) {
  const { method, permission, about } = route
  const answered = successes(about.answers, method, schemas)
  const body = requestBody(route, schemas)
  return {
    operationId: about.id,
    summary: about.summary,
    description: [about.description, heldTo(about), whoMay(permission)].filter(Boolean).join('\n\n'),
    tags: [tagOf(route)],
    security: permission === 'anyone' ? [] : [{ bearer: [] }],
    parameters: parameters(route, schemas),
    ...(body && { requestBody: body }),
    responses: {
      ...(about.or ? either(answered, successes(about.or, method, schemas)) : answered),
      ...failures(refusals(route), kept),
    },
  }
}
