import type { Context, ErrorHandler } from 'hono'
import type { AppEnv } from '../context.ts'
import { type ConstraintProblems, toDatabaseProblem } from './database-problem.ts'
import { Problem, problemTypes } from './problem.ts'
import { buildSecurityHeaders, chooseRequestId } from './response-headers.ts'

/** A problem as RFC 9457 wants it written. */
const serializeProblem = ({ type, status, details: { detail, errors } }: Problem, requestId: string): string =>
  JSON.stringify({
    type: `/problems/${type}`,
    title: problemTypes[type][1],
    status,
    detail,
    instance: requestId,
    ...(errors && { errors }),
  })

/** A refusal of what does not reach the app, as the app would answer it. `clientRequestId` is the request's id, as it came. */
export function buildProblemResponse(
  problem: Problem,
  { clientRequestId, isHttps }: { clientRequestId: string | undefined; isHttps: boolean },
) {
  const requestId = chooseRequestId(clientRequestId)
  const body = serializeProblem(problem, requestId)
  const headers = {
    ...buildSecurityHeaders(requestId, isHttps),
    ...problem.details.headers,
    'Cache-Control': 'no-store',
    'Content-Type': 'application/problem+json',
    'Content-Length': String(new TextEncoder().encode(body).length),
  }
  return { requestId, status: problem.status, headers, body }
}

/** Logs a 5xx: with its cause where there is one, as a warning where it was meant. */
function logServerError(error: Error, problem: Problem, c: Context<AppEnv>): void {
  const requestFields = { requestId: c.get('requestId'), traceId: c.get('traceId') }
  const err = problem.details.cause ?? (problem === error ? undefined : error)
  if (err === undefined) c.env.logger.warn({ ...requestFields, msg: problem.message })
  else c.env.logger.error({ ...requestFields, err })
}

/** Answers with a problem. `error` is what was thrown, for the log of a 5xx. */
export function renderProblem(problem: Problem, c: Context<AppEnv>, error: Error = problem): Response {
  if (problem.status >= 500) logServerError(error, problem, c)
  const body = serializeProblem(problem, c.get('requestId'))
  return c.body(body, problem.status, { ...problem.details.headers, 'Content-Type': 'application/problem+json' })
}

/** Renders whatever was thrown. What is no {@link Problem} and none of the constraints is answered with the request id alone. */
export const createErrorHandler =
  (constraintProblems: ConstraintProblems): ErrorHandler<AppEnv> =>
  (error, c) => {
    if (error instanceof Problem) return renderProblem(error, c)
    const problem = toDatabaseProblem(error, constraintProblems) ?? new Problem('internal', { cause: error })
    return renderProblem(problem, c, error)
  }
