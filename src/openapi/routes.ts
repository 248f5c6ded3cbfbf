import { Hono } from 'hono'
import * as z from 'zod'
import { anyone } from '../access/can.ts'
import type { App } from '../env.ts'
import { plain } from '../http/about.ts'
import { noQuery } from '../http/valid.ts'
import { documentOf, type Registered } from './document.ts'

const Document = z.looseObject({ openapi: z.string(), paths: z.looseObject({}) })

/** The document that tells of `routes`, made when it is first asked for. */
export function documentRoutes(routes: readonly Registered[]) {
  let made: string | undefined
  return new Hono<App>().get(
    '/openapi.json',
    anyone({ id: 'getOpenApi', summary: 'Get this document', answers: plain(Document) }),
    noQuery(),
    (c) => {
      made ??= JSON.stringify(documentOf(routes))
      return c.body(made, 200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-cache' })
    },
  )
}
