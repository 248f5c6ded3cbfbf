import type { ContentfulStatusCode } from 'hono/utils/http-status'

/** Every problem there is: its status and title by the last part of its `type`. Part of the contract with clients. */
export const problems = {
  'bad-request': [400, 'The request is not valid'],
  unauthorized: [401, 'Sign in to do this'],
  forbidden: [403, 'You may not do this'],
  'not-found': [404, 'Not found'],
  'method-not-allowed': [405, 'This method is not available here'],
  'not-acceptable': [406, 'Only application/json can be sent'],
  'request-timeout': [408, 'The request did not arrive in time'],
  conflict: [409, 'This conflicts with what is stored'],
  overlap: [409, 'This time is taken'],
  duration: [409, 'An appointment takes from 5 minutes to 8 hours'],
  'in-the-past': [409, 'This time has passed'],
  'outside-hours': [409, 'The doctor does not work at this time'],
  'idempotency-in-progress': [409, 'The first request with this key is still under way'],
  'precondition-failed': [412, 'The record has changed since you read it'],
  'payload-too-large': [413, 'The body is too large'],
  'unsupported-media-type': [415, 'This type of content is not taken here'],
  'range-not-satisfiable': [416, 'The file ends before this range'],
  'expectation-failed': [417, 'This expectation cannot be met'],
  'idempotency-mismatch': [422, 'This key was used for another request'],
  'too-many-requests': [429, 'Too many requests'],
  'headers-too-large': [431, 'The headers or the URL are too large'],
  internal: [500, 'Something went wrong on our side'],
  unavailable: [503, 'The service is not available just now'],
  'insufficient-storage': [507, 'There is no room to keep this'],
} as const satisfies Record<string, readonly [ContentfulStatusCode, string]>

export type ProblemType = keyof typeof problems

/** One fault of a request: `path` is the field (`workingHours.0.from`), empty for the whole body. */
export type FieldError = { path: string; message: string; code: string }

type Details = { detail?: string; errors?: FieldError[]; headers?: Record<string, string>; cause?: unknown }

/** The one way to refuse a request: thrown anywhere, rendered by `render.ts` as RFC 9457 problem details. */
export class Problem extends Error {
  override name = 'Problem'
  readonly status: ContentfulStatusCode
  readonly type: ProblemType
  readonly details: Details

  constructor(type: ProblemType, details: Details = {}) {
    super(details.detail ?? problems[type][1], { cause: details.cause })
    this.type = type
    this.status = problems[type][0]
    this.details = details
  }
}

/** A 400 about one field. */
export const invalid = (path: string, message: string, code = 'custom') =>
  new Problem('bad-request', { errors: [{ path, message, code }] })
