import type { Hono, NotFoundHandler } from 'hono'
import { methodNotAllowed } from 'hono/method-not-allowed'
import type { App } from '../env.ts'
import { Problem } from './problem.ts'
import { renderProblem } from './render.ts'

/** A path that is none of ours. Answered, not thrown, so that {@link allowedMethods} can tell it from a record that is not there. */
export const unknownPath: NotFoundHandler<App> = (c) =>
  renderProblem(new Problem('not-found', { detail: 'There is nothing at this path.' }), c)

/** Answers OPTIONS, and a method that a known path has not, with the methods that it has. */
export const allowedMethods = (app: Hono<App>) =>
  methodNotAllowed({
    app,
    onMethodNotAllowed: (c, methods) => {
      const Allow = [...methods, 'OPTIONS'].join(', ')
      if (c.req.method === 'OPTIONS') {
        // That of the 404 which this takes the place of.
        c.header('Content-Type', undefined)
        return c.body(null, 204, { Allow })
      }
      return renderProblem(new Problem('method-not-allowed', { headers: { Allow } }), c)
    },
  })
