import type { Hono, NotFoundHandler } from 'hono'
import { methodNotAllowed } from 'hono/method-not-allowed'
import type { AppEnv } from '../context.ts'
import { Problem } from './problem.ts'
import { renderProblem } from './problem-response.ts'
import { acceptPatchHeader } from './validation.ts'

/**
 * What no route of `app` answers: OPTIONS and a method that a known path has not are told the methods that it has, and
 * all else that there is nothing. Asked only here, so that it costs other requests nothing.
 */
export function createNotFoundHandler(app: Hono<AppEnv>): NotFoundHandler<AppEnv> {
  const answerWithMethods = methodNotAllowed({
    app,
    onMethodNotAllowed: (c, methods) => {
      const Allow = [...methods, 'OPTIONS'].join(', ')
      if (c.req.method === 'OPTIONS') {
        const headers = { Allow, ...(methods.includes('PATCH') && acceptPatchHeader) }
        return new Response(null, { status: 204, headers })
      }
      const detail = `This path takes ${Allow}.`
      return renderProblem(new Problem('method-not-allowed', { detail, headers: { Allow } }), c)
    },
  })
  return async (c) => {
    c.res = await renderProblem(new Problem('not-found', { detail: 'There is nothing at this path.' }), c)
    await answerWithMethods(c, async () => {})
    return c.res
  }
}
