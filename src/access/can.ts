import type { MiddlewareHandler } from 'hono'
import type { AppEnv, BaseContext, ClientInfo, GuardedEnv } from '../context.ts'
import { assertAcceptsJson } from '../http/accept.ts'
import { toClientNetwork } from '../http/client-network.ts'
import { type OperationDescription, operationMetadata, respondsWithJson } from '../http/operation-description.ts'
import { Problem } from '../http/problem.ts'
import { authenticateRequest } from './authenticate.ts'
import { getPermission, type PermissionName } from './permissions.ts'
import { countRequest } from './rate-limits.ts'

/** What a route's guard lets through: a permission by name, or anyone; and what it says of the route. `app.ts` refuses a route without one. */
export const guardMetadata = Symbol('guard')
/** What a guard carries: what it lets through, and what the route does. */
export type Guard = { [guardMetadata]: PermissionName | 'anyone'; [operationMetadata]: OperationDescription }

/** What is known of the sender before they have said who they are. */
export const getClientInfo = (c: BaseContext): ClientInfo => ({
  ip: c.env.clientAddress,
  // Workers read UTF-8 in it, and half a character at its end would keep the row out of the trail.
  userAgent: c.req.header('User-Agent')?.slice(0, 500).toWellFormed() ?? null,
  requestId: c.get('requestId'),
})

/** Marks a route that needs no sign-in, and says what it does. @throws {Problem} 406, 429 */
export const allowAnyone = (operation: OperationDescription): MiddlewareHandler<AppEnv> & Guard => {
  const requiresJson = respondsWithJson(operation)
  const middleware: MiddlewareHandler<AppEnv> = (c, next) => {
    if (requiresJson) assertAcceptsJson(c.req)
    const counted = countRequest(c, 'REQUESTS_PER_ADDRESS_MIN', toClientNetwork(c.env.clientAddress))
    return counted ? counted.then(next) : next()
  }
  return Object.assign<MiddlewareHandler<AppEnv>, Guard>(middleware, {
    [guardMetadata]: 'anyone',
    [operationMetadata]: operation,
  })
}

/**
 * Lets through who is signed in and whose role has the permission, gives the route its `requestContext`, and says what it does.
 * @throws {Problem} 406, 429, 401, 503 while the audit log is full, 403
 */
export function can(name: PermissionName, operation: OperationDescription): MiddlewareHandler<GuardedEnv> & Guard {
  const permission = getPermission(name)
  const requiresJson = respondsWithJson(operation)
  const action = permission.audit ?? name
  const handler: MiddlewareHandler<GuardedEnv> = async (c, next) => {
    if (requiresJson) assertAcceptsJson(c.req)
    const client = getClientInfo(c)
    const principal = await authenticateRequest(c, permission.asksSession)
    const scope = permission[principal.role]
    c.set('auditedRequest', {
      principal,
      client,
      action,
      isAudited: permission.audit !== undefined,
    })
    // A denial leaves an entry too: whoever asks in vain without end must not push out what others have read.
    const mayLeaveEntry = permission.audit !== undefined || !scope || c.req.param('id') !== undefined
    if (mayLeaveEntry && c.env.auditWriter.isFull) throw auditLogFullProblem()
    if (!scope) throw new Problem('forbidden')
    c.set('requestContext', { principal, scope, action, client })
    await next()
  }
  return Object.assign<MiddlewareHandler<GuardedEnv>, Guard>(handler, {
    [guardMetadata]: name,
    [operationMetadata]: operation,
  })
}

/** What would leave an entry in the audit log is not done while none can be kept. */
export const auditLogFullProblem = () =>
  new Problem('unavailable', {
    detail: 'The audit log cannot be written just now, so nothing is shown or changed. Try again in a while.',
    headers: { 'Retry-After': '5' },
  })

type HonoRoute = { method: string; path: string; handler: object }

/** The routes, as `METHOD path`, whose first handler is no guard: there must be none. */
export const findUnguardedRoutes = (routes: HonoRoute[]): string[] => {
  const first = new Map<string, object>()
  for (const { method, path, handler } of routes)
    if (method !== 'ALL' && !first.has(`${method} ${path}`)) first.set(`${method} ${path}`, handler)
  return [...first].flatMap(([route, handler]) => (guardMetadata in handler ? [] : [route]))
}
