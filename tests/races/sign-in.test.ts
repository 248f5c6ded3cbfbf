import { sql } from 'drizzle-orm'
import { afterAll, describe, expect, it } from 'vitest'
import { Api, password, patient, world } from '../support/api.ts'
import { until } from '../support/program.ts'

const { api, url } = await world()
const other = await Api.start(url)
afterAll(() => other.stop())

let hosts = 0
const nowhere = () => {
  hosts += 1
  return `2001:db8:${hosts.toString(16)}::1`
}
const login = (i: number, email: string, word: string, address: string) =>
  (i % 2 === 0 ? api : other).send(
    'POST',
    '/api/auth/login',
    { email, password: word },
    { env: { clientAddress: address } },
  )
const many = <T>(n: number, act: (i: number) => Promise<T>) => Promise.all(Array.from({ length: n }, (_, i) => act(i)))
const newcomer = async () => {
  const [email, address] = [`${crypto.randomUUID()}@example.org`, nowhere()]
  await api.send(
    'POST',
    '/api/auth/register',
    { name: 'Someone', email, password },
    { env: { clientAddress: address } },
  )
  return { email, address }
}
const counts = () => api.db.execute(sql`select key, count from throttle order by key`)

describe('Sign-ins of one account over two processes at once', () => {
  it('two hundred right passwords are two hundred times 200, and leave every count as it was', async () => {
    const { email, address } = await newcomer()
    const before = await counts()
    const answers = await many(200, (i) => login(i, email, password, i % 4 < 2 ? address : nowhere()))
    expect(answers.filter(({ status }) => status !== 200)).toEqual([])
    expect(await counts()).toEqual(before)
  })

  it('a thousand wrong passwords get at most the limit of answers other than 429', async () => {
    const { email } = await newcomer()
    const answers = await many(1000, (i) => login(i, email, `wrong ${i}`, nowhere()))
    const statuses = answers.map(({ status }) => status)
    expect(statuses.filter((status) => status === 401)).toHaveLength(10)
    expect(statuses.filter((status) => status !== 401 && status !== 429)).toEqual([])
  })

  it('right passwords from a known network succeed beside a thousand wrong ones', async () => {
    const { email, address } = await newcomer()
    const [wrong, right] = await Promise.all([
      many(300, (i) => login(i, email, `wrong ${i}`, nowhere())),
      many(30, (i) => login(i, email, password, address)),
    ])
    expect(wrong.filter(({ status }) => status === 401)).toHaveLength(10)
    expect(right.filter(({ status }) => status !== 200)).toEqual([])
  })

  it('a right guess among a thousand wrong ones of strangers is refused once the limit is reached', async () => {
    const { email, address } = await newcomer()
    const rightAt = 700
    const answers = await many(1000, (i) => login(i, email, i === rightAt ? password : `wrong ${i}`, nowhere()))
    expect(answers[rightAt]?.status).toBe(429)
    expect(answers.filter(({ status }) => status === 401)).toHaveLength(10)
    expect((await login(0, email, password, address)).status).toBe(200)
  })
})

it('two hundred proofs of one password at once are all taken', async () => {
  const { email, address } = await newcomer()
  const token = (await login(0, email, password, address)).string('access')
  const change = (i: number) =>
    (i % 2 === 0 ? api : other).send(
      'PATCH',
      '/api/auth/me',
      { email: `${i}.${email}`, currentPassword: password },
      { token, env: { clientAddress: i % 4 < 2 ? address : nowhere() } },
    )
  const answers = await many(200, change)
  expect(answers.filter(({ status }) => status !== 200)).toEqual([])
})

describe('A feed that a stolen session makes while the password is changed', () => {
  async function scene() {
    const owner = await newcomer()
    const own = await login(0, owner.email, password, owner.address)
    const stolen = (await login(0, owner.email, password, nowhere())).string('access')
    const { id } = await api.send('POST', '/api/patients', patient(), { token: own.string('access') })
    const user = own.string('user.id')
    const body = { currentPassword: password, newPassword: `${password}!` }
    return {
      user,
      patientId: id,
      change: () => api.send('POST', '/api/auth/password', body, { token: own.string('access') }),
      make: () => api.send('POST', `/api/patients/${id}/calendar-feed`, undefined, { token: stolen }),
      left: () => api.db.execute(sql`select from feeds where user_id = ${user}`),
    }
  }
  const waits = (statement: string) => () =>
    api.db
      .execute(
        sql`select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like ${statement}`,
      )
      .then((rows) => rows.length > 0)

  it('a feed is ended by the change of password where it was begun before', async () => {
    const { patientId, change, make, left } = await scene()
    const answers = await api.db.transaction(async (tx) => {
      // The new feed waits for its patient, uncommitted; the change then waits for the feed.
      await tx.execute(sql`select from patients where id = ${patientId} for update`)
      const made = make()
      await until('the feed to wait', waits('%insert into "feeds"%'))
      const changed = change()
      await until('the change to wait', waits('update "sessions"%'))
      return [made, changed]
    })
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([201, 204])
    expect(await left()).toHaveLength(0)
  })

  it('a feed is not made where it was begun after the change of password', async () => {
    const { user, change, make, left } = await scene()
    await api.db.execute(sql`insert into resets values (${user}, ${user}, now())`)
    const answers = await api.db.transaction(async (tx) => {
      // The change waits for the reset that it is to end, uncommitted; the feed then waits for the change.
      await tx.execute(sql`select from resets where user_id = ${user} for update`)
      const changed = change()
      await until('the change to wait', waits('%delete from "resets"%'))
      const made = make()
      await until('the feed to wait', waits('%insert into "feeds"%'))
      return [changed, made]
    })
    expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([204, 401])
    expect(await left()).toHaveLength(0)
  })
})
