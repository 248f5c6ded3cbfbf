import type { Context, MiddlewareHandler } from 'hono'
import { validate as isUuid } from 'uuid'
import type { Actor, Subject } from '../audit/record.ts'
import { authenticate } from '../auth/authenticate.ts'
import type { App, Asked, Env } from '../env.ts'
import { type About, about, isJson } from '../http/about.ts'
import { needAcceptsJson } from '../http/accept.ts'
import { matchOf } from '../http/etag.ts'
import { networkOf } from '../http/network.ts'
import { Problem } from '../http/problem.ts'
import { countRequest } from './limits.ts'
import { type PermissionName, permissionOf, type Reach, type Role } from './permissions.ts'

/** Who asks, what for, and how far they may go: what scope and trail need to know of a request. */
export type Caller = {
  id: string
  role: Role
  /** The session of the access token. */
  session: string
  reach: Reach
  action: string
  /** The versions of a record that a change is for (If-Match), as `http/etag.ts` makes them; null where any will do. */
  match: string | null
  ip: string
  userAgent: string | null
  requestId: string
}

export type Guarded = { Bindings: Env; Variables: App['Variables'] & { caller: Caller } }

/** What a route's guard lets through: a permission by name, or anyone; and what it says of the route. `app.ts` refuses a route without one. */
export const guard = Symbol('guard')
export type Guard = { [guard]: PermissionName | 'anyone'; [about]: About }

/** What is known of the sender before they have said who they are. */
export const sender = (c: Asked) => ({
  ip: c.env.address,
  // Workers read UTF-8 in it, and half a character at its end would keep the row out of the trail.
  userAgent: c.req.header('User-Agent')?.slice(0, 500).toWellFormed() ?? null,
  requestId: c.get('requestId'),
})

/** Marks a route that needs no sign-in, and says what it does. @throws {Problem} 406, 429 */
export const anyone = (said: About): MiddlewareHandler<App> & Guard => {
  const json = isJson(said)
  const open: MiddlewareHandler<App> = (c, next) => {
    if (json) needAcceptsJson(c.req)
    const counted = countRequest(c, 'REQUESTS_PER_ADDRESS_MIN', networkOf(c.env.address))
    return counted ? counted.then(next) : next()
  }
  return Object.assign<MiddlewareHandler<App>, Guard>(open, { [guard]: 'anyone', [about]: said })
}

const reads = new Set(['GET', 'HEAD'])
const idOf = (param: string | undefined) => (param !== undefined && isUuid(param) ? param.toLowerCase() : undefined)

/**
 * Whose data the request is about, for the audit log: the subject that its route has set, and the patient that it names
 * in its path or its query, also where it is refused or shows nothing.
 */
function subjectOf(c: Context<Guarded>): Subject | undefined {
  const subject = c.get('subject')
  const { path } = c.req
  const patientId = subject?.patientId ?? (path.startsWith('/api/patients/') ? idOf(c.req.param('id')) : undefined)
  const filtered = idOf(c.req.query('patientId'))
  if (filtered === undefined) return patientId === subject?.patientId ? subject : { ...subject, patientId }
  const patientIds = [...new Set([...(subject?.patientIds ?? []), filtered])]
  return { ...subject, patientId, patientIds }
}

/** Whether the answer refuses the caller something: also a 400 over a patient in the body whom they do not see. */
const isRefused = ({ error, res: { status } }: Context<Guarded>) =>
  status === 403 ||
  status === 404 ||
  (error instanceof Problem &&
    error.details.errors?.some(({ path, code }) => path === 'patientId' && code === 'unknown') === true)

/**
 * Lets through who is signed in and whose role has the permission, gives the route its `caller`, and says what it does.
 * Reads and refusals go into the trail behind the answer; a change writes its row with itself.
 * @throws {Problem} 406, 429, 401, 403
 */
export function can(name: PermissionName, said: About): MiddlewareHandler<Guarded> & Guard {
  const permission = permissionOf(name)
  const json = isJson(said)
  const action = permission.audit ?? name
  const [resource = ''] = action.split(/[.:]/)
  const handler: MiddlewareHandler<Guarded> = async (c, next) => {
    if (json) needAcceptsJson(c.req)
    const { id, role, session } = await authenticate(c, permission.asksSession)
    const { ip, userAgent, requestId } = sender(c)
    const actor: Actor = { userId: id, role, ip, userAgent, requestId }
    const reach = permission[role]
    const refused = (status: number) => {
      const resourceId = idOf(c.req.param('id'))
      c.env.audit.add({ ...actor, action: 'auth.denied', resource, ...subjectOf(c), resourceId, status })
    }
    if (!reach) {
      refused(403)
      throw new Problem('forbidden')
    }
    if (permission.audit && c.env.audit.isFull) throw auditFull()
    c.set('caller', { id, role, session, reach, action, match: matchOf(c.req), ip, userAgent, requestId })
    await next()
    const { status } = c.res
    if (isRefused(c)) refused(status)
    else if (reads.has(c.req.method) && permission.audit && status < 400)
      c.env.audit.add({ ...actor, action, resource, ...subjectOf(c), status })
  }
  return Object.assign<MiddlewareHandler<Guarded>, Guard>(handler, { [guard]: name, [about]: said })
}

/** What would leave an entry in the audit log is not done while none can be kept. */
export const auditFull = () =>
  new Problem('unavailable', {
    detail: 'The audit log cannot be written just now, so nothing is shown or changed. Try again in a while.',
    headers: { 'Retry-After': '5' },
  })

type Route = { method: string; path: string; handler: object }

/** The routes, as `METHOD path`, whose first handler is no guard: there must be none. */
export const unguarded = (routes: Route[]): string[] => {
  const first = new Map<string, object>()
  for (const { method, path, handler } of routes)
    if (method !== 'ALL' && !first.has(`${method} ${path}`)) first.set(`${method} ${path}`, handler)
  return [...first].flatMap(([route, handler]) => (guard in handler ? [] : [route]))
}
