import { zValidator } from '@hono/zod-validator'
import type { Context, MiddlewareHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { HTTPException } from 'hono/http-exception'
import type { z } from 'zod'
import type { AppEnv } from '../context.ts'
import { type ValidatorMetadata, validatorMetadata } from './operation-description.ts'
import { unsealCursor } from './paging.ts'
import { type FieldError, invalidFieldProblem, Problem } from './problem.ts'

/** Bodies of JSON may have this many bytes. */
const maxJsonBodyBytes = 64 * 1024

const jsonTooLargeProblem = () =>
  new Problem('payload-too-large', { detail: `A JSON body may have ${maxJsonBodyBytes} bytes.` })

const bodyLimitMiddleware = bodyLimit({
  maxSize: maxJsonBodyBytes,
  onError: () => {
    throw jsonTooLargeProblem()
  },
})

/** How long a JSON body may take to arrive, in ms: so little is there at once on any line. */
const bodyTimeoutMs = 10_000

/** @throws {Problem} 408 where `body` is not there in time; the connection is closed, so that the rest of it is not waited for */
async function withBodyTimeout<T>(body: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>()
  const headers = { Connection: 'close' }
  const timer = setTimeout(() => reject(new Problem('request-timeout', { headers })), bodyTimeoutMs)
  try {
    return await Promise.race([body, late])
  } finally {
    clearTimeout(timer)
  }
}

const decoder = new TextDecoder('utf-8', { fatal: true })

/** The bytes of a body, to its end. @throws {Problem} 413, 400 where the client leaves before the end */
async function readBodyBytes(c: Context): Promise<ArrayBuffer> {
  try {
    // Where the length is told, nobody has to look at the body as a stream, which Node would have to make first.
    const contentLength = c.req.header('Transfer-Encoding') === undefined ? c.req.header('Content-Length') : undefined
    if (contentLength === undefined) await withBodyTimeout(bodyLimitMiddleware(c, async () => {}))
    else if (Number(contentLength) > maxJsonBodyBytes) throw jsonTooLargeProblem()
    return await withBodyTimeout(c.req.arrayBuffer())
  } catch (error) {
    throw error instanceof Problem ? error : invalidFieldProblem('', 'ended too soon', 'malformed')
  }
}

/** The types of body that a method takes. A change of some fields is a merge patch (RFC 7396) under either name. */
export const getBodyTypes = (method: string): string[] =>
  method === 'PATCH' ? ['application/json', 'application/merge-patch+json'] : ['application/json']
/** RFC 5789, section 3.1. */
export const acceptPatchHeader = { 'Accept-Patch': getBodyTypes('PATCH').join(', ') }

const hasBody = ({ req }: Context) =>
  req.header('Content-Type') !== undefined ||
  req.header('Transfer-Encoding') !== undefined ||
  Number(req.header('Content-Length') ?? 0) > 0

const withoutContentType = (headers: Headers): Headers => {
  const rest = new Headers(headers)
  rest.delete('Content-Type')
  return rest
}

/**
 * Reads the body for the validator, which would take any type, any size and replacement characters for what is no UTF-8.
 * An `isOptional` one that is left out is `{}`.
 * @throws {Problem} 415, 413, 408, 400
 */
async function readBody(c: Context, optional: boolean): Promise<void> {
  if (optional && !hasBody(c)) return
  const [type = '', ...rest] = (c.req.header('Content-Type') ?? '').toLowerCase().split(';')
  const charset = rest.find((part) => part.trim().startsWith('charset='))
  const types = getBodyTypes(c.req.method)
  if (!types.includes(type.trim()) || (charset && !/^\s*charset="?utf-8"?\s*$/.test(charset)))
    throw new Problem('unsupported-media-type', {
      detail: `Send the body as ${types.join(' or ')} in UTF-8.`,
      ...(c.req.method === 'PATCH' && { headers: acceptPatchHeader }),
    })
  const bytes = await readBodyBytes(c)
  if (bytes.byteLength === 0) {
    if (!optional) throw invalidFieldProblem('', 'has no body, which is required', 'required')
    // Without a type, the validator takes it for `{}`.
    const { url, method, headers } = c.req.raw
    c.req.raw = new Request(url, { method, headers: withoutContentType(headers) })
    return
  }
  try {
    decoder.decode(bytes)
  } catch {
    throw invalidFieldProblem('', 'has a body that is not UTF-8', 'malformed')
  }
}

/** What zod found, one fault a field. */
export const toFieldErrors = (issues: readonly z.core.$ZodIssue[], noun = 'field'): FieldError[] => {
  const errors = issues.flatMap((issue): FieldError[] => {
    const path = issue.path.map(String)
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => ({
        path: [...path, key].join('.'),
        message: `is not a known ${noun}`,
        code: issue.code,
      }))
    return [{ path: path.join('.'), message: issue.message, code: issue.code ?? 'custom' }]
  })
  // What is said first of a field is the cause of the rest. A set, since a body has room for thousands of faults.
  const seenPaths = new Set<string>()
  return errors.filter(({ path }) => !seenPaths.has(path) && seenPaths.add(path))
}

/** What zod found in a query. A parameter that is repeated is a list to it, of which its client knows nothing. */
const toParameterErrors = (issues: readonly z.core.$ZodIssue[], query: unknown): FieldError[] =>
  toFieldErrors(issues, 'parameter').map((error) =>
    error.code !== 'unrecognized_keys' && Array.isArray(Object(query)[error.path])
      ? { ...error, message: 'must appear only once' }
      : error,
  )

/** Whether every run of escapes is UTF-8. A lone `%` is no escape and stands for itself. */
const isDecodable = (text: string) =>
  [...text.matchAll(/(?:%[0-9a-f]{2})+/gi)].every(([run]) => {
    try {
      return decodeURIComponent(run).isWellFormed()
    } catch {
      return false
    }
  })

/** @throws {Problem} 400 naming each parameter whose escapes are no UTF-8, which Hono would take literally */
function assertQueryEncoding(url: string): void {
  const broken = url
    .slice(url.indexOf('?') + 1)
    .split('&')
    .filter((part) => !isDecodable(part))
  const errors = broken.map((part) => ({ path: part.split('=')[0] ?? '', message: 'is not UTF-8', code: 'malformed' }))
  if (errors.length > 0) throw new Problem('bad-request', { errors })
}

function assertNoQuery(c: Context): void {
  if (!c.req.url.includes('?')) return
  const errors = Object.keys(c.req.queries()).map((path) => ({
    path,
    message: 'is not a known parameter',
    code: 'unrecognized_keys',
  }))
  if (errors.length > 0) throw new Problem('bad-request', { errors })
}

const storeCursorPosition = (c: Context<AppEnv>, query: unknown) => {
  if (typeof query === 'object' && query !== null && 'cursor' in query && typeof query.cursor === 'string')
    c.set('cursorPosition', unsealCursor(c, query.cursor))
}

type Precheck = (c: Context) => Promise<unknown>

/**
 * Validates one part of the request by `zValidator`, and gives the route the result: `c.req.valid(target)`. A route with a
 * body takes no query. `precheck` runs before a fault is told: where it throws, that is the answer. It is how an unseen record
 * is a 404 whatever the body is, at no cost to good requests. An `isOptional` body may be left out: it is `{}` then.
 * @throws {Problem} 415, 413, 400 naming every field at fault, 404 where a part of the path can name nothing
 */
export function valid<Schema extends z.ZodType, Target extends 'json' | 'param' | 'query'>(
  target: Target,
  schema: Schema,
  { precheck, isOptional = false }: { precheck?: Precheck; isOptional?: boolean } = {},
) {
  const validate = zValidator(target, schema, (result, c: Context): undefined => {
    if (!result.success && target === 'param') throw new Problem('not-found')
    if (!result.success) {
      const { issues } = result.error
      const errors = target === 'query' ? toParameterErrors(issues, result.data) : toFieldErrors(issues)
      throw new Problem('bad-request', { errors })
    }
    if (target === 'query') storeCursorPosition(c, result.data)
  })
  const validateWhole: typeof validate = async (c, next) => {
    try {
      if (target === 'json') {
        assertNoQuery(c)
        await readBody(c, isOptional)
      } else if (c.req.url.includes('?')) assertQueryEncoding(c.req.url)
      return await validate(c, next)
    } catch (error) {
      await precheck?.(c)
      throw error instanceof HTTPException
        ? invalidFieldProblem('', 'has a body that is not valid JSON', 'malformed')
        : error
    }
  }
  const handler = target === 'param' ? validate : validateWhole
  return Object.assign(handler, { [validatorMetadata]: { target, schema, isOptional } satisfies ValidatorMetadata })
}

/** Refuses the query of a route that takes none. `precheck` as with {@link valid}. @throws {Problem} 400 naming each parameter */
export const noQuery = (precheck?: Precheck) => {
  const refuse: MiddlewareHandler = async (c, next) => {
    try {
      assertNoQuery(c)
    } catch (problem) {
      await precheck?.(c)
      throw problem
    }
    await next()
  }
  return Object.assign(refuse, {
    [validatorMetadata]: { target: 'query', schema: undefined, isOptional: true } satisfies ValidatorMetadata,
  })
}
