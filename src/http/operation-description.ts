import type { z } from 'zod'
import type { ProblemType } from './problem.ts'
import type { UsageLimitSetting } from './usage-limits.ts'

/** What a route answers when all goes well; the OpenAPI document and the negotiation of types both go by it. */
export type ResponseDescription =
  /** 200 with one record and its ETag, 304 where the client has it; a change takes If-Match. */
  | { kind: 'record'; schema: z.ZodType }
  /** 201 with the record, its ETag and its Location. `isIdempotent` where it takes an Idempotency-Key. */
  | { kind: 'created'; schema: z.ZodType; isIdempotent: boolean }
  /** 200 with a page of records. */
  | { kind: 'page'; schema: z.ZodType }
  /** This status with what has no ETag. */
  | { kind: 'json'; schema: z.ZodType; status: 200 | 201 }
  /** 204. `takesIfMatch` where the delete takes If-Match. */
  | { kind: 'noContent'; takesIfMatch: boolean }
  /** 200 with bytes of one of these types. `takesRange` where a part of them can be asked for, `hasEtag` where they have an ETag. */
  | { kind: 'binary'; types: string[]; takesRange: boolean; hasEtag: boolean }

/** 200 with one record and its ETag. */
export const recordResponse = (schema: z.ZodType): ResponseDescription => ({ kind: 'record', schema })
/** 201 with the record that was made; `isIdempotent` where the route takes an Idempotency-Key. */
export const createdResponse = (schema: z.ZodType, { isIdempotent = true } = {}): ResponseDescription => ({
  kind: 'created',
  schema,
  isIdempotent,
})
/** 200 with a page of records. */
export const pageResponse = (schema: z.ZodType): ResponseDescription => ({ kind: 'page', schema })
/** JSON that has no ETag. */
export const jsonResponse = (schema: z.ZodType, status: 200 | 201 = 200): ResponseDescription => ({
  kind: 'json',
  schema,
  status,
})
/** 204. */
export const noContent: ResponseDescription = { kind: 'noContent', takesIfMatch: false }
/** 204 of a delete that takes If-Match. */
export const deletedResponse: ResponseDescription = { kind: 'noContent', takesIfMatch: true }
/** 200 with bytes of one of these media types. */
export const binaryResponse = (types: string[], { takesRange = false, hasEtag = false } = {}): ResponseDescription => ({
  kind: 'binary',
  types,
  takesRange,
  hasEtag: hasEtag || takesRange,
})

/** What a route's guard says of the route. */
export type OperationDescription = {
  /** The name that generated clients give it. */
  operationId: string
  /** What it does, in a line. */
  summary: string
  description?: string
  responds: ResponseDescription
  /** What it answers instead, where that depends on what is found. */
  orResponds?: ResponseDescription
  /** What it can be refused for, beside what its guard and its validators refuse. */
  problems?: readonly ProblemType[]
  /** The limits of use that it is held to, beside those of all requests. */
  limits?: readonly UsageLimitSetting[]
  /** The fields of a form, where the body is one. Its `file` is bytes. */
  formSchema?: z.ZodType
}

/** What a validator checks, and so what the route takes. */
export type ValidatorMetadata = { target: string; schema: z.ZodType | undefined; isOptional: boolean }

/** Where guards and validators carry what they say of their route. */
export const operationMetadata = Symbol('about')
/** The key under which a validator carries what it validates. */
export const validatorMetadata = Symbol('taken')

/** Whether the client has to take JSON for the route to be of use. */
export const respondsWithJson = ({ responds }: OperationDescription): boolean => responds.kind !== 'binary'
