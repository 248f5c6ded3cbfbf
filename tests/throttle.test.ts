import { sql } from 'drizzle-orm'
import { describe, expect, it, vi } from 'vitest'
import type { PasswordHasher } from '../src/context.ts'
import { limitHasher } from '../src/features/auth/passwords.ts'
import { Api, password, world } from './support/api.ts'

const settings = { LOGIN_FAILURES_PER_ACCOUNT: '3', LOGIN_FAILURES_PER_ADDRESS: '6', REGISTRATIONS_PER_ADDRESS: '4' }
const { api, url } = await world(settings)

let hosts = 0
/** An address that nobody has come from yet. */
const nowhere = () => {
  hosts += 1
  return `198.51.100.${hosts}`
}
const from = (address: string) => ({ env: { clientAddress: address } })
const login = (email: string, word: string, address: string, on = api) =>
  on.send('POST', '/api/auth/login', { email, password: word }, from(address))
const fail = async (times: number, email: string, address: () => string) => {
  const statuses: number[] = []
  for (let i = 0; i < times; i += 1) statuses.push((await login(email, 'wrong password', address())).status)
  return statuses
}
const register = async (address = nowhere()) => {
  const email = `${crypto.randomUUID()}@example.org`
  const answer = await api.send('POST', '/api/auth/register', { name: 'Someone', email, password }, from(address))
  return { email, clientAddress: address, answer, access: answer.string('access'), refresh: answer.string('refresh') }
}

describe('failed sign-ins', () => {
  it.each(['known', 'unknown'])(
    'are counted by a %s account, whatever the address, the case and the blanks',
    async (kind) => {
      const email = kind === 'known' ? (await register()).email : 'nobody@example.org'
      const spellings = [email, ` ${email.toUpperCase()} `, email]
      for (const spelling of spellings) expect((await login(spelling, 'wrong password', nowhere())).status).toBe(401)
      const full = await login(email, password, nowhere())
      expect([full.status, full.at('type')]).toEqual([429, '/problems/too-many-requests'])
      expect(Number(full.headers.get('Retry-After'))).toBeGreaterThan(0)
      expect(Number(full.headers.get('Retry-After'))).toBeLessThanOrEqual(900)
    },
  )

  it('hold in every process', async () => {
    const { email } = await register()
    await fail(3, email, nowhere)
    const other = await Api.start(url, settings)
    expect((await login(email, password, nowhere(), other)).status).toBe(429)
    await other.stop()
  })

  it('do not lock the owner out of where they have signed in before', async () => {
    const { email, clientAddress } = await register()
    expect(await fail(4, email, nowhere)).toEqual([401, 401, 401, 429])
    expect((await login(email, password, clientAddress)).status).toBe(200)
  })

  it('are forgotten with the window', async () => {
    const { email } = await register()
    await fail(4, email, nowhere)
    await api.db.execute(sql`update throttle set ends_at = now()`)
    expect((await login(email, password, nowhere())).status).toBe(200)
  })

  it('of the account are forgotten with a success', async () => {
    const { email, clientAddress } = await register()
    for (let round = 0; round < 3; round += 1) {
      await fail(2, email, () => clientAddress)
      await api.db.execute(sql`update throttle set count = 0 where count > 2`)
      expect((await login(email, password, clientAddress)).status).toBe(200)
    }
  })

  it('are counted by address over all accounts, where successes count for nothing', async () => {
    const address = nowhere()
    const { email } = await register(address)
    for (let i = 0; i < 8; i += 1) expect((await login(email, password, address)).status).toBe(200)
    expect(await fail(2, 'a@example.org', () => address)).toEqual([401, 401])
    expect(await fail(2, 'b@example.org', () => address)).toEqual([401, 401])
    expect(await fail(3, 'c@example.org', () => address)).toEqual([401, 401, 429])
    expect((await login(email, password, address)).status).toBe(429)
  })

  it('at the same moment count each', async () => {
    const { email } = await register()
    const answers = await Promise.all(Array.from({ length: 10 }, () => login(email, 'wrong password', nowhere())))
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(3)
  })

  it('are not hidden by headers that anyone can send', async () => {
    const address = nowhere()
    const spoof = (i: number) => ({
      ...from(address),
      headers: { 'X-Forwarded-For': `203.0.113.${i}`, 'X-Real-IP': '203.0.113.9', Forwarded: 'for=203.0.113.7' },
    })
    const statuses: number[] = []
    for (let i = 0; i < 7; i += 1)
      statuses.push(
        (await api.send('POST', '/api/auth/login', { email: `${i}@example.org`, password }, spoof(i))).status,
      )
    expect(statuses).toEqual([401, 401, 401, 401, 401, 401, 429])
  })
})

it('throttles a wrong current password like a sign-in', async () => {
  const { access, clientAddress } = await register()
  const change = (currentPassword: string) =>
    api.send(
      'POST',
      '/api/auth/password',
      { currentPassword, newPassword: 'brand new password' },
      { ...from(clientAddress), token: access },
    )
  const statuses: number[] = []
  for (let i = 0; i < 3; i += 1) statuses.push((await change('wrong password')).status)
  expect([...statuses, (await change(password)).status]).toEqual([400, 400, 400, 429])
})

it.each([
  ['reset', { token: 'rubbish', newPassword: 'brand new password' }, 400],
  ['refresh', { refresh: 'rubbish' }, 401],
])('throttles a bad token at %s by address', async (route, body, refused) => {
  const address = nowhere()
  const statuses: number[] = []
  for (let i = 0; i < 7; i += 1)
    statuses.push((await api.send('POST', `/api/auth/${route}`, body, from(address))).status)
  expect(statuses).toEqual([...Array(6).fill(refused), 429])
})

it('takes the addresses of one IPv6 network for one', async () => {
  const statuses: number[] = []
  const spellings = ['2001:db8::1', '2001:db8:0:0:ffff::', '2001:0DB8::9:9', '2001:db8::2']
  for (const [i, address] of [...spellings, '2001:db8::3', '2001:db8::4', '2001:db8::5'].entries())
    statuses.push((await login(`six${i}@example.org`, 'wrong password', address)).status)
  expect(statuses).toEqual([401, 401, 401, 401, 401, 401, 429])
  const others = ['2001:db8::6', '2001:db8::7', '2001:db8:1::1']
  const more: number[] = []
  for (const address of others)
    more.push((await login(`${crypto.randomUUID()}@example.org`, 'wrong password', address)).status)
  expect(more).toEqual([429, 429, 401])
})

it('throttles registrations by address', async () => {
  const address = nowhere()
  for (let i = 0; i < 4; i += 1) await register(address)
  const fifth = await api.send(
    'POST',
    '/api/auth/register',
    { name: 'Fifth', email: 'fifth@example.org', password },
    from(address),
  )
  expect(fifth.status).toBe(429)
  expect(Number(fifth.headers.get('Retry-After'))).toBeGreaterThan(900)
  await register()
})

it('keeps neither address nor e-mail in what it counts', async () => {
  const { email, clientAddress } = await register()
  await fail(1, email, () => clientAddress)
  const rows = await api.db.execute<{ key: string }>(sql`select key from throttle`)
  for (const { key } of rows) expect(key).toMatch(/^[\w-]{43}$/)
})

describe('what is right', () => {
  it('is not counted, however often and whatever is wrong beside it', async () => {
    const { email, clientAddress } = await register()
    const counts = () => api.db.execute(sql`select key, count from throttle order by key`)
    await fail(2, email, () => clientAddress)
    await login(email, password, clientAddress)
    const before = await counts()
    const answers = await Promise.all(Array.from({ length: 40 }, () => login(email, password, clientAddress)))
    expect(answers.filter(({ status }) => status !== 200)).toEqual([])
    expect(await counts()).toEqual(before)
  })

  it('is taken from a known address beside a stranger\u2019s guesses', async () => {
    const { email, clientAddress } = await register()
    const [guesses, own] = await Promise.all([
      Promise.all(Array.from({ length: 20 }, () => login(email, 'wrong password', nowhere()))),
      Promise.all(Array.from({ length: 10 }, () => login(email, password, clientAddress))),
    ])
    expect(guesses.filter(({ status }) => status === 401)).toHaveLength(3)
    expect(own.map(({ status }) => status)).toEqual(Array(10).fill(200))
  })

  it('is the same for a password that is changed: all at once are checked, and none is refused for being many', async () => {
    const { access, clientAddress } = await register()
    const body = { currentPassword: password, newPassword: password }
    const change = () =>
      api.send(
        'POST',
        '/api/auth/password',
        { ...body, newPassword: crypto.randomUUID() },
        { ...from(clientAddress), token: access },
      )
    const answers = await Promise.all(Array.from({ length: 8 }, change))
    expect(answers.filter(({ status }) => status === 429)).toEqual([])
    expect(answers.filter(({ status }) => status === 204)).toHaveLength(1)
  })
})

describe('a 429', () => {
  it('counts in no bucket: whoever is refused by one fills no other', async () => {
    const attacker = nowhere()
    expect(await fail(8, 'nobody.else@example.org', () => attacker)).toContain(429)
    for (let i = 0; i < 8; i += 1) await login(`${i}@example.net`, 'wrong password', attacker)
    expect((await login('probe@example.net', 'wrong password', attacker)).status).toBe(429)
    const { email } = await register()
    for (let i = 0; i < 12; i += 1) expect((await login(email, 'wrong password', attacker)).status).toBe(429)
    expect((await login(email, password, nowhere())).status).toBe(200)
  })

  it('of an account leaves the address as it was', async () => {
    const address = nowhere()
    expect(await fail(3, 'full@example.org', nowhere)).toEqual([401, 401, 401])
    for (let i = 0; i < 12; i += 1)
      expect((await login('full@example.org', 'wrong password', address)).status).toBe(429)
    const refused = await Promise.all(Array.from({ length: 12 }, () => login('full@example.org', 'x', address)))
    expect(refused.filter(({ status }) => status !== 429)).toEqual([])
    const open: number[] = []
    for (let i = 0; i < 6; i += 1) open.push((await login(`${i}@example.com`, 'wrong password', address)).status)
    expect(open).toEqual(Array(6).fill(401))
  })
})

it('knows its owner in the whole of an IPv6 network', async () => {
  const { email } = await register('2001:db8:7:7::1')
  await fail(4, email, nowhere)
  expect((await login(email, password, nowhere())).status).toBe(429)
  expect((await login(email, password, '2001:db8:7:7:aaaa::2')).status).toBe(200)
  expect((await login(email, password, '2001:db8:7:8::1')).status).toBe(429)
})

it('a new e-mail address is asked for no more often than a registration', async () => {
  const taken = (await register()).email
  const { access, clientAddress } = await register()
  const ask = (email: string) =>
    api.send('PATCH', '/api/auth/me', { email, currentPassword: password }, { ...from(clientAddress), token: access })
  const statuses: number[] = []
  for (let i = 0; i < 5; i += 1) statuses.push((await ask(taken)).status)
  expect(statuses).toEqual([409, 409, 409, 429, 429])
})

/** Checks passwords once as many wait for it, all with the same outcome: each of them has looked before any is counted. */
function together(many: number, outcome: () => Promise<boolean>): PasswordHasher {
  let arrived = 0
  const { promise, resolve } = Promise.withResolvers<void>()
  return {
    hash: (word) => api.env.passwordHasher.hash(word),
    async verify() {
      arrived += 1
      if (arrived === many) resolve()
      await promise
      return outcome()
    },
  }
}

it('what one of two buckets refuses is counted in neither, also of many at once', async () => {
  const address = nowhere()
  for (const email of ['x@example.org', 'y@example.org']) await fail(1, email, () => address)
  const passwords = together(40, async () => false)
  const guess = () =>
    api.send(
      'POST',
      '/api/auth/login',
      { email: 'one@example.org', password },
      { env: { clientAddress: address, passwordHasher: passwords } },
    )
  const answers = await Promise.all(Array.from({ length: 40 }, guess))
  expect(answers.filter(({ status }) => status === 401)).toHaveLength(3)
  expect(answers.filter(({ status }) => status === 429)).toHaveLength(37)
  // Five of the six that the address may have: there is room for one.
  expect(await fail(2, 'z@example.org', () => address)).toEqual([401, 429])
})

describe('the current password', () => {
  const change = (token: string, address: string, word: string) =>
    api.send(
      'POST',
      '/api/auth/password',
      { currentPassword: word, newPassword: `${password}!` },
      { ...from(address), token },
    )

  it('is guessed no oftener with a stolen access token from many networks', async () => {
    const { access } = await register()
    const statuses: number[] = []
    for (let i = 0; i < 4; i += 1) statuses.push((await change(access, nowhere(), 'wrong password')).status)
    expect(statuses).toEqual([400, 400, 400, 429])
  })

  it('is taken from its owner, wherever they are, beside failed sign-ins of strangers', async () => {
    const { access, email } = await register()
    expect(await fail(4, email, nowhere)).toEqual([401, 401, 401, 429])
    expect((await change(access, nowhere(), password)).status).toBe(204)
  })

  it('is taken from its owner where they have signed in before, beside guesses with a stolen token elsewhere', async () => {
    const { access, clientAddress } = await register()
    for (let i = 0; i < 4; i += 1) await change(access, nowhere(), 'wrong password')
    expect((await change(access, clientAddress, password)).status).toBe(204)
  })

  it('is refused, though right, where failures have filled the bucket while it was checked', async () => {
    const { access, clientAddress } = await register()
    const passwords = together(1, async () => {
      for (let i = 0; i < 3; i += 1) await change(access, clientAddress, 'wrong password')
      return true
    })
    const body = { currentPassword: password, newPassword: `${password}!` }
    const answer = await api.send('POST', '/api/auth/password', body, {
      token: access,
      env: { clientAddress, passwordHasher: passwords },
    })
    expect(answer.status).toBe(429)
  })

  it.each<[string, (email: string) => Promise<unknown>]>([
    ['changed', (email) => api.db.execute(sql`update users set password_hash = 'x' where email = ${email}`)],
    [
      'of no use, the account being deactivated,',
      (email) => api.db.execute(sql`update users set active = false where email = ${email}`),
    ],
  ])('that is %s while it is checked changes neither the e-mail address nor the password', async (_, meanwhile) => {
    for (const [method, path, values] of [
      ['PATCH', '/api/auth/me', { email: `${crypto.randomUUID()}@example.org` }],
      ['POST', '/api/auth/password', { newPassword: `${password}!` }],
    ] as const) {
      const { access, email, clientAddress } = await register()
      const passwords = together(1, async () => {
        await meanwhile(email)
        return true
      })
      const options = { token: access, env: { clientAddress, passwordHasher: passwords } }
      const answer = await api.send(method, path, { ...values, currentPassword: password }, options)
      expect([answer.status, answer.faults]).toEqual([400, ['currentPassword']])
      const [row] = await api.db.execute(sql`select version from users where email = ${email}`)
      expect(row).toEqual({ version: 1 })
    }
  })
})

describe('passwords that wait to be checked', () => {
  const signIn = (email: string, passwords: PasswordHasher) =>
    api.send(
      'POST',
      '/api/auth/login',
      { email, password },
      { env: { clientAddress: nowhere(), passwordHasher: passwords } },
    )

  it('are as many as fit: more are a 503, and counted nowhere', async () => {
    const { email } = await register()
    const { promise: begun, resolve: begin } = Promise.withResolvers<void>()
    const { promise: over, resolve: end } = Promise.withResolvers<void>()
    const slow: PasswordHasher = {
      hash: (word) => api.env.passwordHasher.hash(word),
      async verify() {
        begin()
        await over
        return true
      },
    }
    const passwords = limitHasher(slow, 1, 1)
    const first = signIn(email, passwords)
    await begun
    const [second, third] = [signIn(email, passwords), signIn(email, passwords)]
    const refused = await Promise.race([second, third])
    expect([refused.status, refused.at('type')]).toEqual([503, '/problems/unavailable'])
    expect(Number(refused.headers.get('Retry-After'))).toBeGreaterThan(0)
    // Nothing else waits behind them.
    expect((await api.send('GET', '/healthz')).status).toBe(200)
    end()
    const statuses = (await Promise.all([first, second, third])).map(({ status }) => status)
    expect(statuses.toSorted()).toEqual([200, 200, 503])
  })

  it('wait for fifteen seconds at most: then they are a 503', async () => {
    const { email } = await register()
    vi.useFakeTimers({ toFake: ['performance'] })
    try {
      const checked: string[] = []
      const slow: PasswordHasher = {
        hash: (word) => api.env.passwordHasher.hash(word),
        async verify(_, word) {
          checked.push(word)
          await vi.waitUntil(() => passwords.waitingCount === 1)
          vi.advanceTimersByTime(15_001)
          return true
        },
      }
      const passwords = limitHasher(slow, 1)
      const answers = await Promise.all([signIn(email, passwords), signIn(email, passwords)])
      expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 503])
      expect(checked).toHaveLength(1)
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('between the check of a password and the sign-in', () => {
  /** Signs in while `change` happens after the password was found right. */
  async function signInWhile(email: string, change: () => Promise<unknown>) {
    const passwords: PasswordHasher = {
      hash: (word) => api.env.passwordHasher.hash(word),
      async verify(hash, word) {
        const right = await api.env.passwordHasher.verify(hash, word)
        await change()
        return right
      },
    }
    return api.send(
      'POST',
      '/api/auth/login',
      { email, password },
      { env: { clientAddress: nowhere(), passwordHasher: passwords } },
    )
  }

  it.each<[string, number, (email: string) => Promise<unknown>]>([
    [
      'a changed password',
      401,
      (email) => api.db.execute(sql`update users set password_hash = 'x' where email = ${email}`),
    ],
    ['a deactivation', 401, (email) => api.db.execute(sql`update users set active = false where email = ${email}`)],
    ['as many failures as are allowed', 429, (email) => fail(3, email, nowhere)],
  ])('%s refuses it: %i', async (_, status, change) => {
    const { email } = await register()
    expect((await signInWhile(email, () => change(email))).status).toBe(status)
  })
})
