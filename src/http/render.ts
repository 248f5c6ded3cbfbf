import type { Context, ErrorHandler } from 'hono'
import { databaseProblem } from '../db/failure.ts'
import type { App } from '../env.ts'
import { headersOf, requestIdOf } from './headers.ts'
import { Problem, problems } from './problem.ts'

const asProblem = (error: Error): Problem => {
  if (error instanceof Problem) return error
  return databaseProblem(error) ?? new Problem('internal', { cause: error })
}

/** A problem as RFC 9457 wants it written. */
const problemBody = ({ type, status, details: { detail, errors } }: Problem, requestId: string): string =>
  JSON.stringify({
    type: `/problems/${type}`,
    title: problems[type][1],
    status,
    detail,
    instance: requestId,
    ...(errors && { errors }),
  })

/** A refusal of what does not reach the app, as the app would answer it. `sent` is the request's id, as it came. */
export function refusal(problem: Problem, { sent, secure }: { sent: string | undefined; secure: boolean }) {
  const requestId = requestIdOf(sent)
  const body = problemBody(problem, requestId)
  const headers = {
    ...headersOf(requestId, secure),
    ...problem.details.headers,
    'Cache-Control': 'no-store',
    'Content-Type': 'application/problem+json',
    'Content-Length': String(new TextEncoder().encode(body).length),
  }
  return { requestId, status: problem.status, headers, body }
}

/** Logs a 5xx: with its cause where there is one, as a warning where it was meant. */
function logFault(error: Error, problem: Problem, c: Context<App>): void {
  const about = { requestId: c.get('requestId'), traceId: c.get('traceId') }
  const err = problem.details.cause ?? (problem === error ? undefined : error)
  if (err === undefined) c.env.log.warn({ ...about, msg: problem.message })
  else c.env.log.error({ ...about, err })
}

/** Renders whatever was thrown. What is not a {@link Problem} is answered with the request id alone. */
export const renderProblem: ErrorHandler<App> = (error, c) => {
  const problem = asProblem(error)
  if (problem.status >= 500) logFault(error, problem, c)
  const body = problemBody(problem, c.get('requestId'))
  return c.body(body, problem.status, { ...problem.details.headers, 'Content-Type': 'application/problem+json' })
}
