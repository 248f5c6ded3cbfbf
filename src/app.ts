import { Hono, type MiddlewareHandler } from 'hono'
import { findUnguardedRoutes } from './access/can.ts'
import { appointmentRoutes } from './appointments/routes.ts'
import { auditRoutes } from './audit/routes.ts'
import { accountRoutes } from './auth/account-routes.ts'
import { authRoutes } from './auth/routes.ts'
import { calendarRoutes } from './calendar/routes.ts'
import { doctorRoutes } from './doctors/routes.ts'
import type { AppEnv } from './env.ts'
import { applyCors } from './http/cors.ts'
import { applyResponseHeaders, prepareResponseHeaders } from './http/headers.ts'
import { renderProblem } from './http/render.ts'
import { createNotFoundHandler } from './http/routing.ts'
import { mappingRoutes } from './mappings/routes.ts'
import { createDocsRoutes } from './openapi/routes.ts'
import { startObservation } from './operation/observe.ts'
import { observabilityRoutes } from './operation/routes.ts'
import { patientRoutes } from './patients/routes.ts'
import { reportRoutes } from './reports/routes.ts'
import { userRoutes } from './users/routes.ts'

/** What every request goes through, in one step: each middleware costs all of them. */
const perRequestMiddleware: MiddlewareHandler<AppEnv> = async (c, next) => {
  prepareResponseHeaders(c)
  const endObservation = startObservation(c)
  await applyCors(c, next)
  applyResponseHeaders(c)
  endObservation()
}

// A path answers the same with and without a slash at its end.
const baseApp = new Hono<AppEnv>({ strict: false })

baseApp.onError(renderProblem)
baseApp.notFound(createNotFoundHandler(baseApp))
baseApp.use(perRequestMiddleware)

/** The whole API. Every route begins with the guard that says who may use it. */
export const app = baseApp
  .route('/', observabilityRoutes)
  .route('/', createDocsRoutes(baseApp.routes))
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

const unguardedRoutes = findUnguardedRoutes(app.routes)
if (unguardedRoutes.length > 0) throw new Error(`routes without a guard: ${unguardedRoutes.join(', ')}`)

/** For Hono's typed client: `hc<AppType>('http://127.0.0.1:8000')`. */
export type AppType = typeof app
