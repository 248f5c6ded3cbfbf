import type { ErrorHandler } from 'hono'
import { HTTPException } from 'hono/http-exception'
import { databaseProblem } from '../db/failure.ts'
import type { App } from '../env.ts'
import { invalid, Problem, problems } from './problem.ts'

const asProblem = (error: Error): Problem => {
  if (error instanceof Problem) return error
  // Hono's own: a body that is no JSON.
  if (error instanceof HTTPException && error.status === 400) return invalid('', 'is not valid JSON', 'malformed')
  return databaseProblem(error) ?? new Problem('internal', { cause: error })
}

/** Renders whatever was thrown. What is not a {@link Problem} is logged with its cause and answered with the request id alone. */
export const renderProblem: ErrorHandler<App> = (error, c) => {
  const problem = asProblem(error)
  const { detail, errors, headers } = problem.details
  const requestId = c.get('requestId')
  if (problem.status >= 500)
    c.env.log.error({ requestId, traceId: c.get('traceId'), err: problem.details.cause ?? error })
  const body = {
    type: `/problems/${problem.type}`,
    title: problems[problem.type][1],
    status: problem.status,
    ...(detail && { detail }),
    instance: requestId,
    ...(errors && { errors }),
  }
  return c.body(JSON.stringify(body), problem.status, { ...headers, 'Content-Type': 'application/problem+json' })
}
