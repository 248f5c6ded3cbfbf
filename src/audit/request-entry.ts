import type { Context } from 'hono'
import { validate as isUuid } from 'uuid'
import type { AppEnv, AuditSubject } from '../context.ts'
import { Problem } from '../http/problem.ts'
import { toAuditActor } from './entry-cte.ts'

const readMethods = new Set(['GET', 'HEAD'])
const parseUuid = (param: string | undefined) =>
  param !== undefined && isUuid(param) ? param.toLowerCase() : undefined

/**
 * Whose data the request is about, for the audit log: the subject that its route has set, and the patient that it names
 * in its path or its query, also where it is refused or shows nothing.
 */
function getAuditSubject(c: Context<AppEnv>): AuditSubject | undefined {
  const subject = c.get('auditSubject')
  const { path } = c.req
  const patientId = subject?.patientId ?? (path.startsWith('/api/patients/') ? parseUuid(c.req.param('id')) : undefined)
  const filtered = parseUuid(c.req.query('patientId'))
  if (filtered === undefined) return patientId === subject?.patientId ? subject : { ...subject, patientId }
  const patientIds = [...new Set([...(subject?.patientIds ?? []), filtered])]
  return { ...subject, patientId, patientIds }
}

/** Whether the answer refuses the caller something: also a 400 over a patient in the body whom they do not see. */
const isDeniedResponse = ({ error, res: { status } }: Context<AppEnv>) =>
  status === 403 ||
  status === 404 ||
  (error instanceof Problem &&
    error.details.errors?.some(({ path, code }) => path === 'patientId' && code === 'unknown') === true)

/**
 * Leaves the entry of a request that `can` has let through or refused, once it is answered: of a read, and of what was refused
 * its caller. A change writes its entry with itself.
 */
export function enqueueRequestEntry(c: Context<AppEnv>): void {
  const audited = c.get('auditedRequest')
  if (!audited) return
  const { principal, client, action, isAudited } = audited
  const { status } = c.res
  const [resource = ''] = action.split(/[.:]/)
  if (isDeniedResponse(c)) {
    const resourceId = parseUuid(c.req.param('id'))
    const subject = getAuditSubject(c)
    c.env.auditWriter.enqueue({
      ...toAuditActor(principal, client),
      action: 'auth.denied',
      resource,
      ...subject,
      resourceId,
      status,
    })
  } else if (isAudited && readMethods.has(c.req.method) && status < 400)
    c.env.auditWriter.enqueue({ ...toAuditActor(principal, client), action, resource, ...getAuditSubject(c), status })
}
