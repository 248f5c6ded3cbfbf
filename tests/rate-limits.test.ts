import { afterAll, describe, expect, it, vi } from 'vitest'
import { createRateLimiters } from '../src/access/rate-limits.ts'
import { Api, type Options, type Person, patient, world } from './support/api.ts'

const settings = { REQUESTS_PER_ACCOUNT_MIN: '4', REQUESTS_PER_ADDRESS_MIN: '3' }
const { api, url, admin } = await world(settings)
const unlimited = await Api.start(url, { REQUESTS_PER_ACCOUNT_MIN: '0', REQUESTS_PER_ADDRESS_MIN: '0' })
const byDefault = await Api.start(url, { REQUESTS_PER_ACCOUNT_MIN: '', REQUESTS_PER_ADDRESS_MIN: '' })
afterAll(() => Promise.all([unlimited.stop(), byDefault.stop()]))

let hosts = 0
/** An address that nobody has come from yet. */
const nowhere = () => {
  hosts += 1
  return `198.51.100.${hosts}`
}
/** The statuses of so many requests, one after the other. */
async function statuses(times: number, path: string, options: Options, on = api, method = 'GET') {
  const found: number[] = []
  for (let i = 0; i < times; i += 1) found.push((await on.send(method, path, undefined, options)).status)
  return found
}
const from = (address: string) => ({ env: { clientAddress: address } })
const as = ({ access }: Person, address = nowhere()) => ({ token: access, ...from(address) })
/** Acts on a clock that stands still, and is set on by so many ms. */
async function onClock(act: (setOn: (ms: number) => void) => Promise<void>) {
  let now = performance.now()
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => now)
  const setOn = (ms: number) => {
    now += ms
  }
  await act(setOn).finally(() => clock.mockRestore())
}
/** How many of so many requests get each status, ten of them at once. */
async function counts(times: number, path: string, options: Options, on: Api) {
  const lanes = Array.from({ length: 10 }, () => statuses(times / 10, path, options, on))
  const found = (await Promise.all(lanes)).flat()
  return Object.fromEntries([...new Set(found)].map((status) => [status, found.filter((s) => s === status).length]))
}

describe('Requests of one account', () => {
  it('requests are refused beyond the limit, whatever the session, the address and the path', async () => {
    const person = await api.register('Pat')
    const { email } = person
    const login = await api.send('POST', '/api/auth/login', { email, password: 'correct horse battery staple' })
    expect(await statuses(2, '/api/doctors', as(person))).toEqual([200, 200])
    const second = { token: login.string('access'), ...from(nowhere()) }
    expect(await statuses(3, '/api/patients', second)).toEqual([200, 200, 429])
    const refused = await api.send('POST', '/api/patients', patient(), as(person))
    expect(refused.status).toBe(429)
    const seconds = Number(refused.headers.get('Retry-After'))
    expect(seconds).toBeGreaterThan(0)
    expect(seconds).toBeLessThanOrEqual(60)
    expect(refused.body).toMatchObject({
      type: '/problems/too-many-requests',
      detail: `The limit is 4 requests a minute of one account. Try again in ${seconds} seconds.`,
    })
    expect(await statuses(1, '/api/patients', as(await api.register('Somebody else')))).toEqual([200])
  })

  it('requests are taken again when the minute is over', async () => {
    const person = await api.register('Pat')
    await onClock(async (setOn) => {
      expect(await statuses(5, '/api/doctors', as(person))).toEqual([200, 200, 200, 200, 429])
      setOn(59_999)
      expect((await person.get('/api/doctors')).headers.get('Retry-After')).toBe('1')
      setOn(1)
      expect(await statuses(5, '/api/doctors', as(person))).toEqual([200, 200, 200, 200, 429])
    })
  })

  it('requests are refused before the role is looked at, and after what the path and the method are', async () => {
    const person = await api.register('Pat')
    expect(await statuses(5, '/api/users', as(person))).toEqual([403, 403, 403, 403, 429])
    expect((await person.get('/api/nothing')).status).toBe(404)
    expect((await person.put('/api/users', {})).status).toBe(405)
  })

  it('requests that are refused leave no audit entry', async () => {
    const person = await api.register('Pat')
    await statuses(4, '/api/patients', as(person))
    const refused = await person.get('/api/patients')
    await api.env.auditWriter.flush()
    const trail = await unlimited.send('GET', `/api/audit?userId=${person.id}`, undefined, { token: admin.access })
    expect(trail.each('action').filter((action) => action === 'patient.list')).toHaveLength(4)
    expect(refused.status).toBe(429)
    expect(trail.each('status')).not.toContain(429)
  })

  it('requests have no limit where it is 0', async () => {
    const { access } = await unlimited.register('Pat')
    expect(await counts(700, '/api/patients', { token: access }, unlimited)).toEqual({ 200: 700 })
  })

  it('requests of an account are limited to 600 by default', async () => {
    const { access } = await byDefault.register('Pat')
    expect(await counts(610, '/api/patients', { token: access }, byDefault)).toEqual({ 200: 600, 429: 10 })
  })
})

describe('Requests of one address without a valid token', () => {
  it('requests are refused beyond the limit, of open paths and of those that need a token, with none or a wrong one', async () => {
    const address = nowhere()
    const options = from(address)
    expect(await statuses(1, '/openapi.json', options)).toEqual([200])
    expect(await statuses(1, '/api/patients', options)).toEqual([401])
    expect(await statuses(1, '/api/patients', { ...options, token: 'none' })).toEqual([401])
    const refused = await api.send('GET', '/api/patients', undefined, { ...options, token: 'none' })
    expect(refused.status).toBe(429)
    expect(refused.at('detail')).toMatch(
      /^The limit is 3 requests a minute without a valid access token from one address\. Try again in \d+ seconds?\.$/,
    )
    expect(refused.headers.get('Retry-After')).toMatch(/^[1-9]\d*$/)
    for (const path of [
      '/',
      '/docs',
      '/openapi.json',
      '/api/users',
      `/api/doctors/${crypto.randomUUID()}/calendar.ics`,
    ])
      expect(await statuses(1, path, options)).toEqual([429])
    expect(await statuses(1, '/api/patients', from(nowhere()))).toEqual([401])
  })

  it('requests without a token do not limit those who are signed in from there, nor the other way round', async () => {
    const address = nowhere()
    const person = await api.register('Pat')
    expect(await statuses(4, '/api/patients', from(address))).toEqual([401, 401, 401, 429])
    expect(await statuses(5, '/api/patients', as(person, address))).toEqual([200, 200, 200, 200, 429])
    const elsewhere = nowhere()
    expect(await statuses(1, '/api/patients', as(person, elsewhere))).toEqual([429])
    expect(await statuses(3, '/api/patients', from(elsewhere))).toEqual([401, 401, 401])
  })

  it('requests are counted by network in IPv6', async () => {
    expect(await statuses(2, '/', from('2001:db8:1:2::1'))).toEqual([200, 200])
    expect(await statuses(2, '/api/patients', from('2001:db8:1:2:ffff::9'))).toEqual([401, 429])
    expect(await statuses(1, '/', from('2001:db8:1:2::8'))).toEqual([429])
    expect(await statuses(1, '/', from('2001:db8:1:3::1'))).toEqual([200])
  })

  it('requests without a token are taken again when the minute is over', async () => {
    const options = from(nowhere())
    await onClock(async (setOn) => {
      expect(await statuses(4, '/', options)).toEqual([200, 200, 200, 429])
      setOn(59_999)
      expect(await statuses(1, '/', options)).toEqual([429])
      setOn(1)
      expect(await statuses(4, '/', options)).toEqual([200, 200, 200, 429])
    })
  })

  it('requests of monitors, of signing in and of unknown paths do not count', async () => {
    const options = from(nowhere())
    const asked = ['/healthz', '/readyz', '/metrics', '/healthz/']
    for (const path of asked) expect(await statuses(5, path, options)).toEqual([200, 200, 200, 200, 200])
    expect(await statuses(5, '/api/auth/me', options)).toEqual([401, 401, 401, 401, 401])
    expect(await statuses(5, '/api/auth/logout', options, api, 'POST')).toEqual([204, 204, 204, 204, 204])
    expect(await statuses(5, '/nothing', options)).toEqual([404, 404, 404, 404, 404])
    expect(await statuses(5, '/api/patients', options, api, 'OPTIONS')).toEqual([204, 204, 204, 204, 204])
    expect(await statuses(5, '/healthz', options, api, 'POST')).toEqual([405, 405, 405, 405, 405])
    expect(await statuses(4, '/', options)).toEqual([200, 200, 200, 429])
    for (const path of asked) expect(await statuses(1, path, options)).toEqual([200])
    const login = await api.send('POST', '/api/auth/login', { email: 'no@example.org', password: 'wrong' }, options)
    expect(login.status).toBe(401)
  })

  it('requests without a token have no limit where it is 0', async () => {
    expect(await counts(130, '/', from(nowhere()), unlimited)).toEqual({ 200: 130 })
  })

  it('requests of an address are limited to 120 by default', async () => {
    expect(await counts(130, '/', from(nowhere()), byDefault)).toEqual({ 200: 120, 429: 10 })
  })

  it('requests from ever new addresses take no more and more memory', async () => {
    const limiter = api.env.rateLimiters.REQUESTS_PER_ADDRESS_MIN
    for (let i = 0; i < 3; i += 1) limiter('the first')
    expect(limiter('the first')).toBeGreaterThan(0)
    // Of the one that was asked last so long ago nothing is kept any more.
    for (let i = 0; i < 10_000; i += 1) limiter(`${i}`)
    expect(limiter('the first')).toBe(0)
  })
})

describe('Requests where Cloudflare’s binding counts too', () => {
  const person = api.register('Pat')
  /** The answers to a request of an account and to one of an address, where both bindings say this. */
  async function answers(limit: () => Promise<{ success: boolean }>, on = unlimited.env.config) {
    const asked: string[] = []
    const binding = {
      limit({ key }: { key: string }) {
        asked.push(key)
        return limit()
      },
    }
    const env = {
      rateLimiters: createRateLimiters(on, { account: binding, clientAddress: binding }),
      clientAddress: '2001:db8:9:9::1',
    }
    const { access: token } = await person
    const sent = [
      await byDefault.send('GET', '/api/doctors', undefined, { token, env }),
      await byDefault.send('GET', '/', undefined, { env }),
      await byDefault.send('GET', '/api/doctors', undefined, { env }),
    ]
    return { asked, statuses: sent.map(({ status }) => status), wait: sent[0]?.headers.get('Retry-After') }
  }
  const counting = byDefault.env.config

  it('requests are taken where the binding allows them, and refused for a minute where it does not', async () => {
    const { id } = await person
    const network = '2001:db8:9:9'
    expect(await answers(async () => ({ success: true }), counting)).toMatchObject({
      asked: [id, network, network],
      statuses: [200, 200, 401],
    })
    expect(await answers(async () => ({ success: false }), counting)).toMatchObject({
      statuses: [429, 429, 429],
      wait: '60',
    })
  })

  it('requests are taken where the binding cannot count', async () => {
    const failing = await answers(() => Promise.reject(new Error('away')), counting)
    expect(failing.statuses).toEqual([200, 200, 401])
  })

  it('requests are not passed to the binding where the limit is 0', async () => {
    expect(await answers(async () => ({ success: false }))).toMatchObject({ asked: [], statuses: [200, 200, 401] })
  })
})
