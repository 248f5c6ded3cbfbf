import type { z } from 'zod'
import type { LimitName } from '../access/limits.ts'
import type { ProblemType } from './problem.ts'

/** What a route answers when all goes well; the OpenAPI document and the negotiation of types both go by it. */
export type Answer =
  /** 200 with one record and its ETag, 304 where the client has it; a change takes If-Match. */
  | { kind: 'one'; schema: z.ZodType }
  /** 201 with the record, its ETag and its Location. `keyed` where it takes an Idempotency-Key. */
  | { kind: 'created'; schema: z.ZodType; keyed: boolean }
  /** 200 with a page of records. */
  | { kind: 'page'; schema: z.ZodType }
  /** This status with what has no ETag. */
  | { kind: 'plain'; schema: z.ZodType; status: 200 | 201 }
  /** 204. `versioned` where the delete takes If-Match. */
  | { kind: 'nothing'; versioned: boolean }
  /** 200 with bytes of one of these types. `ranged` where a part of them can be asked for, `tagged` where they have an ETag. */
  | { kind: 'content'; types: string[]; ranged: boolean; tagged: boolean }

export const one = (schema: z.ZodType): Answer => ({ kind: 'one', schema })
export const created = (schema: z.ZodType, { keyed = true } = {}): Answer => ({ kind: 'created', schema, keyed })
export const page = (schema: z.ZodType): Answer => ({ kind: 'page', schema })
export const plain = (schema: z.ZodType, status: 200 | 201 = 200): Answer => ({ kind: 'plain', schema, status })
export const nothing: Answer = { kind: 'nothing', versioned: false }
export const deleted: Answer = { kind: 'nothing', versioned: true }
export const content = (types: string[], { ranged = false, tagged = false } = {}): Answer => ({
  kind: 'content',
  types,
  ranged,
  tagged: tagged || ranged,
})

/** What a route's guard says of the route. */
export type About = {
  /** The name that generated clients give it. */
  id: string
  /** What it does, in a line. */
  summary: string
  description?: string
  answers: Answer
  /** What it answers instead, where that depends on what is found. */
  or?: Answer
  /** What it can be refused for, beside what its guard and its validators refuse. */
  problems?: readonly ProblemType[]
  /** The limits of use that it is held to, beside those of all requests. */
  limits?: readonly LimitName[]
  /** The fields of a form, where the body is one. Its `file` is bytes. */
  form?: z.ZodType
}

/** What a validator checks, and so what the route takes. */
export type Taken = { target: string; schema: z.ZodType | undefined; optional: boolean }

/** Where guards and validators carry what they say of their route. */
export const about = Symbol('about')
export const taken = Symbol('taken')

/** Whether the client has to take JSON for the route to be of use. */
export const isJson = ({ answers }: About): boolean => answers.kind !== 'content'
