import { Hono, type MiddlewareHandler } from 'hono'
import { findUnguardedRoutes } from './access/can.ts'
import { accessConstraints } from './access/constraints.ts'
import { auditTag } from './audit/openapi.ts'
import { enqueueRequestEntry } from './audit/request-entry.ts'
import { auditRoutes } from './audit/routes.ts'
import type { AppEnv } from './context.ts'
import { appointmentConstraints } from './features/appointments/constraints.ts'
import { appointmentTag } from './features/appointments/openapi.ts'
import { appointmentRoutes } from './features/appointments/routes.ts'
import { accountRoutes } from './features/auth/account-routes.ts'
import { accountConstraints } from './features/auth/constraints.ts'
import { authTag, userTag } from './features/auth/openapi.ts'
import { authRoutes } from './features/auth/routes.ts'
import { userRoutes } from './features/auth/user-routes.ts'
import { calendarConstraints } from './features/calendar/constraints.ts'
import { calendarTag } from './features/calendar/openapi.ts'
import { calendarRoutes } from './features/calendar/routes.ts'
import { doctorConstraints } from './features/doctors/constraints.ts'
import { doctorTag } from './features/doctors/openapi.ts'
import { doctorRoutes } from './features/doctors/routes.ts'
import { mappingConstraints } from './features/mappings/constraints.ts'
import { mappingTag } from './features/mappings/openapi.ts'
import { mappingRoutes } from './features/mappings/routes.ts'
import { patientConstraints } from './features/patients/constraints.ts'
import { patientTag } from './features/patients/openapi.ts'
import { patientRoutes } from './features/patients/routes.ts'
import { reportConstraints } from './features/reports/constraints.ts'
import { reportTag } from './features/reports/openapi.ts'
import { reportRoutes } from './features/reports/routes.ts'
import { applyCors } from './http/cors.ts'
import { createNotFoundHandler } from './http/not-found.ts'
import { createErrorHandler } from './http/problem-response.ts'
import { applyResponseHeaders, prepareResponseHeaders } from './http/response-headers.ts'
import { idempotencyConstraints } from './idempotency/constraints.ts'
import { operationTag } from './observability/openapi.ts'
import { startObservation } from './observability/request-observation.ts'
import { observabilityRoutes } from './observability/routes.ts'
import { createDocsRoutes } from './openapi/routes.ts'

/** What every request goes through, in one step: each middleware costs all of them. */
const perRequestMiddleware: MiddlewareHandler<AppEnv> = async (c, next) => {
  prepareResponseHeaders(c)
  const endObservation = startObservation(c)
  await applyCors(c, next)
  enqueueRequestEntry(c)
  applyResponseHeaders(c)
  endObservation()
}

/** What each constraint of the database means to a client. */
export const constraintProblems = {
  ...accessConstraints,
  ...idempotencyConstraints,
  ...accountConstraints,
  ...patientConstraints,
  ...doctorConstraints,
  ...mappingConstraints,
  ...appointmentConstraints,
  ...reportConstraints,
  ...calendarConstraints,
}

/** What the features say of themselves in the OpenAPI document, in its order. */
export const openApiTags = [
  authTag,
  userTag,
  patientTag,
  doctorTag,
  mappingTag,
  appointmentTag,
  reportTag,
  calendarTag,
  auditTag,
  operationTag,
]

// A path answers the same with and without a slash at its end.
const baseApp = new Hono<AppEnv>({ strict: false })

baseApp.onError(createErrorHandler(constraintProblems))
baseApp.notFound(createNotFoundHandler(baseApp))
baseApp.use(perRequestMiddleware)

/** The whole API. Every route begins with the guard that says who may use it. */
export const app = baseApp
  .route('/', observabilityRoutes)
  .route('/', createDocsRoutes(baseApp.routes, openApiTags))
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
