import { Hono, type MiddlewareHandler } from 'hono'
import { unguarded } from './access/can.ts'
import { appointmentRoutes } from './appointments/routes.ts'
import { auditRoutes } from './audit/routes.ts'
import { accountRoutes } from './auth/account-routes.ts'
import { authRoutes } from './auth/routes.ts'
import { calendarRoutes } from './calendar/routes.ts'
import { doctorRoutes } from './doctors/routes.ts'
import type { App } from './env.ts'
import { shareWithOrigins } from './http/cors.ts'
import { beginHeaders, endHeaders } from './http/headers.ts'
import { renderProblem } from './http/render.ts'
import { unrouted } from './http/routing.ts'
import { mappingRoutes } from './mappings/routes.ts'
import { documentRoutes } from './openapi/routes.ts'
import { observe } from './operation/observe.ts'
import { operationRoutes } from './operation/routes.ts'
import { patientRoutes } from './patients/routes.ts'
import { reportRoutes } from './reports/routes.ts'
import { userRoutes } from './users/routes.ts'

/** What every request goes through, in one step: each middleware costs all of them. */
const everyRequest: MiddlewareHandler<App> = async (c, next) => {
  beginHeaders(c)
  const answered = observe(c)
  await shareWithOrigins(c, next)
  endHeaders(c)
  answered()
}

// A path answers the same with and without a slash at its end.
const base = new Hono<App>({ strict: false })

base.onError(renderProblem)
base.notFound(unrouted(base))
base.use(everyRequest)

/** The whole API. Every route begins with the guard that says who may use it. */
export const app = base
  .route('/', operationRoutes)
  .route('/', documentRoutes(base.routes))
  .route('/api/auth', authRoutes)
  .route('/api/auth', accountRoutes)
  .route('/api/users', userRoutes)
  .route('/api/patients', patientRoutes)
  .route('/api/doctors', doctorRoutes)
  .route('/api', mappingRoutes)
  .route('/api', appointmentRoutes)
  .route('/api', reportRoutes)
  .route('/api', calendarRoutes)
  .route('/api', auditRoutes)

const open = unguarded(app.routes)
if (open.length > 0) throw new Error(`routes without a guard: ${open.join(', ')}`)

/** For Hono's typed client: `hc<AppType>('http://127.0.0.1:8000')`. */
export type AppType = typeof app
