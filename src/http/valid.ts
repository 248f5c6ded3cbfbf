import { zValidator } from '@hono/zod-validator'
import type { Context, MiddlewareHandler, ValidationTargets } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import type { z } from 'zod'
import { type Taken, taken } from './about.ts'
import { placeOf } from './page.ts'
import { type FieldError, invalid, Problem } from './problem.ts'

/** Bodies of JSON may have this many bytes. */
const maxBody = 64 * 1024

const tooLarge = () => new Problem('payload-too-large', { detail: `A JSON body may have ${maxBody} bytes.` })

const limit = bodyLimit({
  maxSize: maxBody,
  onError: () => {
    throw tooLarge()
  },
})

/** The bytes of a body, to its end. @throws {Problem} 413, 400 where the client leaves before the end */
async function bytesOf(c: Context): Promise<ArrayBuffer> {
  try {
    // Where the length is told, nobody has to look at the body as a stream, which Node would have to make first.
    const told = c.req.header('Transfer-Encoding') === undefined ? c.req.header('Content-Length') : undefined
    if (told === undefined) await limit(c, async () => {})
    else if (Number(told) > maxBody) throw tooLarge()
    return await c.req.raw.arrayBuffer()
  } catch (error) {
    throw error instanceof Problem ? error : invalid('', 'ended too soon', 'malformed')
  }
}

const bringsBody = ({ req }: Context) =>
  req.header('Content-Type') !== undefined ||
  req.header('Transfer-Encoding') !== undefined ||
  Number(req.header('Content-Length') ?? 0) > 0

/** Leaves the body in the request's cache as text: right type, right size, and UTF-8 without replacement characters. */
async function readBody(c: Context, optional: boolean): Promise<void> {
  if (optional && !bringsBody(c)) return
  const [type = '', ...rest] = (c.req.header('Content-Type') ?? '').toLowerCase().split(';')
  const charset = rest.find((part) => part.trim().startsWith('charset='))
  if (type.trim() !== 'application/json' || (charset && !/^\s*charset="?utf-8"?\s*$/.test(charset)))
    throw new Problem('unsupported-media-type', { detail: 'Send the body as application/json in UTF-8.' })
  const bytes = await bytesOf(c)
  if (bytes.byteLength === 0 && !optional) throw invalid('', 'is needed', 'required')
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    // Hono keeps promises here, whatever its types say.
    Object.assign(c.req.bodyCache, { text: Promise.resolve(text || '{}') })
  } catch {
    throw invalid('', 'is not UTF-8', 'malformed')
  }
}

/** What zod found, one fault a field. */
export const fieldErrors = (issues: readonly z.core.$ZodIssue[]): FieldError[] => {
  const errors = issues.flatMap((issue): FieldError[] => {
    const path = issue.path.map(String)
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => ({
        path: [...path, key].join('.'),
        message: 'is not taken here',
        code: issue.code,
      }))
    return [{ path: path.join('.'), message: issue.message, code: issue.code ?? 'custom' }]
  })
  // What is said first of a field is the cause of the rest.
  return errors.filter(({ path }, i) => errors.findIndex((error) => error.path === path) === i)
}

/** Whether every run of escapes is UTF-8. A lone `%` is no escape and stands for itself. */
const decodes = (text: string) =>
  [...text.matchAll(/(?:%[0-9a-f]{2})+/gi)].every(([run]) => {
    try {
      return decodeURIComponent(run).isWellFormed()
    } catch {
      return false
    }
  })

/** @throws {Problem} 400 naming each parameter whose escapes are no UTF-8, which Hono would take literally */
function checkEncoding(url: string): void {
  const broken = url
    .slice(url.indexOf('?') + 1)
    .split('&')
    .filter((part) => !decodes(part))
  const errors = broken.map((part) => ({ path: part.split('=')[0] ?? '', message: 'is not UTF-8', code: 'malformed' }))
  if (errors.length > 0) throw new Problem('bad-request', { errors })
}

function checkNoQuery(c: Context): void {
  if (!c.req.url.includes('?')) return
  const errors = Object.keys(c.req.queries()).map((path) => ({
    path,
    message: 'is not taken here',
    code: 'unrecognized_keys',
  }))
  if (errors.length > 0) throw new Problem('bad-request', { errors })
}

const checkCursor = (c: Context, query: unknown) => {
  if (typeof query === 'object' && query !== null && 'cursor' in query && typeof query.cursor === 'string')
    placeOf(c, query.cursor)
}

type Check = (c: Context) => Promise<unknown>

/**
 * Validates one part of the request and gives the route the result: `c.req.valid(target)`. A route with a body takes no
 * query. `first` runs before a fault is told: where it throws, that is the answer. It is how an unseen record is a 404
 * whatever the body is, at no cost to good requests. An `optional` body may be left out: it is `{}` then.
 * @throws {Problem} 415, 413, 400 naming every field at fault
 */
export function valid<Schema extends z.ZodType, Target extends keyof ValidationTargets>(
  target: Target,
  schema: Schema,
  { first, optional = false }: { first?: Check; optional?: boolean } = {},
) {
  const check = zValidator(target, schema, (result, c) => {
    if (!result.success && target === 'param') throw new Problem('not-found')
    if (!result.success) throw new Problem('bad-request', { errors: fieldErrors(result.error.issues) })
    if (target === 'query') checkCursor(c, result.data)
  })
  const validate: typeof check = async (c, next) => {
    try {
      if (target !== 'param' && c.req.url.includes('?')) checkEncoding(c.req.url)
      if (target === 'json') {
        checkNoQuery(c)
        await readBody(c, optional)
      }
      return await check(c, next)
    } catch (problem) {
      await first?.(c)
      throw problem
    }
  }
  return Object.assign(validate, { [taken]: { target, schema, optional } satisfies Taken })
}

/** Refuses the query of a route that takes none. `first` as with {@link valid}. @throws {Problem} 400 naming each parameter */
export const noQuery = (first?: Check) => {
  const refuse: MiddlewareHandler = async (c, next) => {
    try {
      checkNoQuery(c)
    } catch (problem) {
      await first?.(c)
      throw problem
    }
    await next()
  }
  return Object.assign(refuse, { [taken]: { target: 'query', schema: undefined, optional: true } satisfies Taken })
}
