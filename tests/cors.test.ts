import { describe, expect, it } from 'vitest'
import { patient, world } from './support/api.ts'

const origin = 'https://app.example.org'
const { api, admin } = await world({ CORS_ORIGINS: `${origin}, https://other.example.org` })
const { path, tag } = await admin.post('/api/patients', patient()).then((made) => ({
  path: `/api/patients/${made.id}`,
  tag: made.headers.get('ETag') ?? '',
}))

const asAdmin = { token: admin.access }
const key = { 'Idempotency-Key': 'cors' }
const names = (header: string | null) => header?.toLowerCase().split(/, ?/) ?? []

describe('Pages of CORS_ORIGINS', () => {
  it.each<[status: number, method: string, path: string, body?: unknown, headers?: Record<string, string>]>([
    [200, 'GET', path],
    [200, 'HEAD', path],
    [304, 'GET', path, undefined, { 'If-None-Match': tag }],
    [200, 'GET', '/api/patients'],
    [200, 'GET', '/openapi.json'],
    [201, 'POST', '/api/patients', patient(), key],
    [201, 'POST', '/api/patients', patient(), key],
    [400, 'POST', '/api/patients', {}],
    [404, 'GET', '/api/patients/x'],
    [404, 'GET', '/api/nothing'],
    [405, 'PUT', '/api/patients'],
    [406, 'GET', path, undefined, { Accept: 'text/html' }],
    [412, 'PATCH', path, {}, { 'If-Match': '"x"' }],
  ])('a page may read a %d to %s %s, without credentials', async (status, method, path, body, headers = {}) => {
    const answer = await api.send(method, path, body, { ...asAdmin, headers: { ...headers, Origin: origin } })
    expect(answer.status).toBe(status)
    expect(answer.headers.get('Access-Control-Allow-Origin')).toBe(origin)
    expect(answer.headers.get('Access-Control-Allow-Credentials')).toBeNull()
    expect(names(answer.headers.get('Vary'))).toContain('origin')
    const exposed = names(answer.headers.get('Access-Control-Expose-Headers'))
    expect(exposed).toEqual(expect.arrayContaining(['etag', 'link', 'location', 'retry-after', 'x-request-id']))
    // What every answer carries is there beside it.
    expect(answer.headers.get('X-Content-Type-Options')).toBe('nosniff')
    expect(answer.headers.get('X-Request-Id')).not.toBeNull()
    if (path.startsWith('/api/')) expect(answer.headers.get('Cache-Control')).toBe('no-store')
  })

  it('a page may read that it is not signed in', async () => {
    const answer = await api.send('GET', path, undefined, { headers: { Origin: origin } })
    expect([answer.status, answer.headers.get('Access-Control-Allow-Origin')]).toEqual([401, origin])
  })

  it('a page may send a preflight request, and is told the methods and headers that there are', async () => {
    const asked = ['authorization', 'content-type', 'idempotency-key', 'if-match', 'traceparent', 'x-request-id']
    const answer = await api.send('OPTIONS', path, undefined, {
      headers: {
        Origin: origin,
        'Access-Control-Request-Method': 'PATCH',
        'Access-Control-Request-Headers': asked.join(','),
      },
    })
    expect([answer.status, answer.text]).toEqual([204, ''])
    expect(answer.headers.get('Access-Control-Allow-Origin')).toBe(origin)
    expect(answer.headers.get('Access-Control-Allow-Credentials')).toBeNull()
    expect(names(answer.headers.get('Access-Control-Allow-Methods')).toSorted()).toEqual(
      ['get', 'head', 'post', 'put', 'patch', 'delete'].toSorted(),
    )
    expect(names(answer.headers.get('Access-Control-Allow-Headers'))).toEqual(expect.arrayContaining(asked))
    expect(Number(answer.headers.get('Access-Control-Max-Age'))).toBeGreaterThan(0)
  })
})

it.each([
  'https://evil.example',
  'http://app.example.org',
  'https://app.example.org.evil.example',
  'https://app.example.org:8443',
  'https://APP.example.org',
  'null',
])('a page of %s may read nothing', async (Origin) => {
  const preflight = { Origin, 'Access-Control-Request-Method': 'GET' }
  for (const answer of [
    await admin.get(path, { Origin }),
    await admin.get('/api/nothing', { Origin }),
    await api.send('OPTIONS', path, undefined, { headers: preflight }),
  ]) {
    expect([...answer.headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
    // A cache must not give this answer to a page that may.
    expect(names(answer.headers.get('Vary'))).toContain('origin')
  }
})
