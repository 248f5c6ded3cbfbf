import type { ContentfulStatusCode } from 'hono/utils/http-status'

/**
 * Every problem there is, by the last part of its `type`: its status, its title, and the detail that is told where nothing
 * more is known. Part of the contract with clients.
 */
export const problemTypes = {
  'bad-request': [400, 'The request is not valid', 'What is wrong with which field is in `errors`.'],
  unauthorized: [
    401,
    'Sign in to do this',
    'Send an access token that is in force: Authorization: Bearer and the token.',
  ],
  forbidden: [403, 'You may not do this', 'Your role, or what you are to this record, does not allow it.'],
  'not-found': [404, 'Not found', 'There is no such record, or it is not yours to see.'],
  'method-not-allowed': [405, 'This method is not available here', 'The header Allow lists the methods of this path.'],
  'not-acceptable': [406, 'Only application/json can be sent', 'Let the header Accept include application/json.'],
  'request-timeout': [408, 'The request did not arrive in time', 'Send all of it at once, over a new connection.'],
  conflict: [409, 'This conflicts with what is stored', 'Read what is stored, and decide what is to become of it.'],
  overlap: [409, 'This time is taken', 'The doctor or the patient has another appointment then: choose another time.'],
  duration: [
    409,
    'An appointment takes from 5 minutes to 8 hours',
    'Choose startsAt and endsAt at least 5 minutes and at most 8 hours apart.',
  ],
  'in-the-past': [409, 'This time has passed', 'Choose a startsAt that is still to come.'],
  'outside-hours': [
    409,
    'The doctor does not work at this time',
    'Choose a time within the working hours; the slots of the doctor are such.',
  ],
  'idempotency-in-progress': [
    409,
    'The first request with this key is still under way',
    'Send it again with the same Idempotency-Key in a moment.',
  ],
  'precondition-failed': [
    412,
    'The record has changed since you read it',
    'Read it again, and send the change with the ETag that comes with it as If-Match.',
  ],
  'payload-too-large': [413, 'The body is too large', 'Send less: the limits are in the OpenAPI document.'],
  'unsupported-media-type': [
    415,
    'The type of the body is not supported',
    'The types that this path takes are in the OpenAPI document.',
  ],
  'range-not-satisfiable': [416, 'The file ends before this range', 'Its length is in the header Content-Range.'],
  'expectation-failed': [417, 'This expectation cannot be met', 'Only 100-continue may be expected.'],
  'idempotency-mismatch': [
    422,
    'This key was used for another request',
    'Use a new Idempotency-Key for each request that is not a repetition.',
  ],
  'too-many-requests': [429, 'Too many requests', 'Try again after as many seconds as Retry-After says.'],
  'headers-too-large': [
    431,
    'The headers or the URL are too large',
    'Together they may have 16 KiB: send fewer or shorter ones.',
  ],
  internal: [500, 'Something went wrong on our side', 'Tell whoever runs this service the request id in `instance`.'],
  unavailable: [
    503,
    'The service is not available just now',
    'Nothing is wrong with the request: send it again after as many seconds as Retry-After says.',
  ],
  'insufficient-storage': [507, 'There is no room to keep this', 'Tell whoever runs this service. Nothing was kept.'],
} as const satisfies Record<string, readonly [status: ContentfulStatusCode, title: string, detail: string]>

/** The end of a problem’s `type`, a URI reference `/problems/{type}` (RFC 9457, section 3.1.1). */
export type ProblemType = keyof typeof problemTypes

/** One fault of a request: `path` is the field (`workingHours.0.from`), empty for the whole body. */
export type FieldError = { path: string; message: string; code: string }

type ProblemDetails = { detail?: string; errors?: FieldError[]; headers?: Record<string, string>; cause?: unknown }

/** The one way to refuse a request: thrown anywhere, rendered by `problem-response.ts` as RFC 9457 problem details. */
export class Problem extends Error {
  override name = 'Problem'
  readonly status: ContentfulStatusCode
  readonly type: ProblemType
  readonly details: ProblemDetails & { detail: string }

  constructor(type: ProblemType, details: ProblemDetails = {}) {
    const [status, , fallback] = problemTypes[type]
    const detail = details.detail ?? (details.errors ? describeFieldErrors(details.errors) : fallback)
    super(detail, { cause: details.cause })
    this.type = type
    this.status = status
    this.details = { ...details, detail }
  }
}

/** The faults of a request in words: `name is required; gender must be one of female, male.` */
const describeFieldErrors = (errors: readonly FieldError[]): string =>
  `${errors.map(({ path, message }) => `${path || 'The request'} ${message}`).join('; ')}.`

/** A 400 about one field. */
export const invalidFieldProblem = (path: string, message: string, code = 'custom') =>
  new Problem('bad-request', { errors: [{ path, message, code }] })
