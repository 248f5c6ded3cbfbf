import { describe, expect, it } from 'vitest'
import { app, openApiTags } from '../src/app.ts'
import { world } from './support/api.ts'
import { at, document, keysOf } from './support/documented.ts'

const { api } = await world()

const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ name: `${method.toUpperCase()} ${path}`, operation })),
)

describe('The OpenAPI document', () => {
  it('the document is served as it is made of the routes', async () => {
    const answer = await api.send('GET', '/openapi.json')
    expect(answer.body).toEqual(document)
    expect(answer.at('openapi')).toBe('3.1.1')
  })

  it('the document describes every route and nothing else', () => {
    const routes = app.routes
      .filter(({ method }) => method !== 'ALL')
      .map(({ method, path }) => `${method} ${path.replace(/(?<=.)\/$/, '').replace(/:(\w+)/g, '{$1}')}`)
    expect(operations.map(({ name }) => name).toSorted()).toEqual([...new Set(routes)].toSorted())
  })

  it('the document names each operation once', () => {
    const ids = operations.map(({ operation }) => at(operation, 'operationId'))
    expect(new Set(ids).size).toBe(ids.length)
  })

  it.each(operations)(
    'the document says of $name what it does, who may do it, and gives an example of each body',
    ({ operation }) => {
      expect(at(operation, 'summary')).toMatch(/^[A-Z].+[^.]$/)
      expect(at(operation, 'description')).toMatch(/(Needs no sign-in|Administrators: all)\./)
      const bodies = [at(operation, 'requestBody'), ...Object.values(Object(at(operation, 'responses')))]
      for (const body of bodies) {
        const json = at(body, 'content', 'application/json')
        if (json !== undefined && at(json, 'schema', '$ref') !== undefined) expect(at(json, 'example')).toBeDefined()
      }
    },
  )

  it('the document has an example of each schema, and of nothing that is none', () => {
    const schemas = keysOf(document.components.schemas).filter((name) => name !== 'Problem')
    const examples = openApiTags.flatMap((tag) => Object.keys(tag.examples))
    expect(examples.toSorted()).toEqual(schemas.toSorted())
  })

  it('the document explains signing in, scope, versions and faults', () => {
    const statuses = (path: string, method: string) => keysOf(at(document.paths, path, method, 'responses'))
    expect(statuses('/api/patients', 'post')).toEqual([
      '201',
      '400',
      '401',
      '403',
      '404',
      '406',
      '408',
      '409',
      '413',
      '415',
      '422',
      '429',
      '500',
      '503',
    ])
    expect(statuses('/api/patients/{id}', 'get')).toEqual([
      '200',
      '304',
      '400',
      '401',
      '404',
      '406',
      '429',
      '500',
      '503',
    ])
    expect(statuses('/api/patients/{id}', 'delete')).toEqual([
      '204',
      '400',
      '401',
      '403',
      '404',
      '406',
      '409',
      '412',
      '429',
      '500',
      '503',
    ])
    expect(at(document.paths, '/api/patients', 'post', 'security')).toEqual([{ bearer: [] }])
    expect(at(document.paths, '/api/auth/login', 'post', 'security')).toEqual([])
  })
})
