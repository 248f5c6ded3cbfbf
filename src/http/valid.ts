import { zValidator } from '@hono/zod-validator'
import type { Context, ValidationTargets } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import type { z } from 'zod'
import { type FieldError, invalid, Problem } from './problem.ts'

/** Bodies of JSON may have this many bytes. */
const maxBody = 64 * 1024

const limit = bodyLimit({
  maxSize: maxBody,
  onError: () => {
    throw new Problem('payload-too-large', { detail: `A JSON body may have ${maxBody} bytes.` })
  },
})

/** Leaves the body in the request's cache as text: right type, right size, and UTF-8 without replacement characters. */
async function readBody(c: Context): Promise<void> {
  const [type = '', ...rest] = (c.req.header('Content-Type') ?? '').toLowerCase().split(';')
  const charset = rest.find((part) => part.trim().startsWith('charset='))
  if (type.trim() !== 'application/json' || (charset && !/^\s*charset="?utf-8"?\s*$/.test(charset)))
    throw new Problem('unsupported-media-type', { detail: 'Send the body as application/json in UTF-8.' })
  await limit(c, async () => {})
  const bytes = await c.req.raw.arrayBuffer()
  if (bytes.byteLength === 0) throw invalid('', 'is needed', 'required')
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
    // Hono keeps promises here, whatever its types say.
    Object.assign(c.req.bodyCache, { text: Promise.resolve(text) })
  } catch {
    throw invalid('', 'is not UTF-8', 'malformed')
  }
}

const fieldErrors = (issues: readonly z.core.$ZodIssue[]): FieldError[] =>
  issues.flatMap((issue): FieldError[] => {
    const path = issue.path.map(String)
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => ({
        path: [...path, key].join('.'),
        message: 'is not a field that can be sent here',
        code: issue.code,
      }))
    return [{ path: path.join('.'), message: issue.message, code: issue.code ?? 'custom' }]
  })

/**
 * Validates one part of the request and gives the route the result: `c.req.valid(target)`.
 * `first` runs before a fault is told: where it throws, that is the answer. It is how an unseen record is a 404
 * whatever the body is, at no cost to good requests. An `optional` body may be left out, with its type: it is `{}` then.
 * @throws {Problem} 415, 413, 400 naming every field at fault
 */
export function valid<Schema extends z.ZodType, Target extends keyof ValidationTargets>(
  target: Target,
  schema: Schema,
  { first, optional = false }: { first?: (c: Context) => Promise<unknown>; optional?: boolean } = {},
) {
  const check = zValidator(target, schema, (result) => {
    if (!result.success && target === 'param') throw new Problem('not-found')
    if (!result.success) throw new Problem('bad-request', { errors: fieldErrors(result.error.issues) })
  })
  const validate: typeof check = async (c, next) => {
    try {
      if (target === 'json' && !(optional && !c.req.header('Content-Type'))) await readBody(c)
      return await check(c, next)
    } catch (problem) {
      await first?.(c)
      throw problem
    }
  }
  return validate
}
