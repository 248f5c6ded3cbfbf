import type { Context, TypedResponse } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import type { JSONParsed } from 'hono/utils/types'
import type { GuardedEnv } from '../context.ts'
import type { JsonText } from '../database/query/json-rows.ts'

/**
 * Answers with JSON that is written already, typed as what it says. All headers of the answer are set in one step, which
 * on Node spares a `Headers` object that is filled, copied and emptied again.
 */
export function respondWithJson<Row, Status extends ContentfulStatusCode>(
  c: Context<GuardedEnv>,
  json: JsonText<Row>,
  status: Status,
  headers?: Record<string, string>,
): Response & TypedResponse<JSONParsed<Row>, Status, 'json'> {
  const response = new Response(json, {
    status,
    headers: { ...c.get('responseHeaders'), 'Content-Type': 'application/json', ...headers },
  })
  c.set('finishedResponse', response)
  // The type of a response's JSON exists for the compiler alone, as with Hono's own `c.json`.
  return response as Response & TypedResponse<JSONParsed<Row>, Status, 'json'>
}
