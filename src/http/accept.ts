import type { HonoRequest } from 'hono'
import { parseAccept } from 'hono/utils/accept'
import { Problem } from './problem.ts'

/** Ranges that take JSON, the most specific first: the first that is named decides (RFC 9110, section 12.5.1). */
const jsonMediaRanges = ['application/json', 'application/*', '*/*']

/** @throws {Problem} 406 where the answer, which is JSON, would not be taken */
export function assertAcceptsJson(req: HonoRequest): void {
  const header = req.header('Accept')
  if (!header || header === '*/*') return
  const accepted = parseAccept(header)
  const known = jsonMediaRanges.flatMap((range) => accepted.filter(({ type }) => type.toLowerCase() === range))
  if ((known[0]?.q ?? 0) === 0) throw new Problem('not-acceptable')
}
