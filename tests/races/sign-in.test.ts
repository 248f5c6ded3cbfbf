import { sql } from 'drizzle-orm'
import { afterAll, describe, expect, it } from 'vitest'
import { Api, password, world } from '../support/api.ts'

const { api, url } = await world()
const other = await Api.start(url)
afterAll(() => other.stop())

let hosts = 0
const nowhere = () => {
  hosts += 1
  return `2001:db8:${hosts.toString(16)}::1`
}
const login = (i: number, email: string, word: string, address: string) =>
  (i % 2 === 0 ? api : other).send('POST', '/api/auth/login', { email, password: word }, { env: { address } })
const many = <T>(n: number, act: (i: number) => Promise<T>) => Promise.all(Array.from({ length: n }, (_, i) => act(i)))
const newcomer = async () => {
  const [email, address] = [`${crypto.randomUUID()}@example.org`, nowhere()]
  await api.send('POST', '/api/auth/register', { name: 'Someone', email, password }, { env: { address } })
  return { email, address }
}
const counts = () => api.db.execute(sql`select key, count from throttle order by key`)

describe('sign-ins of one account over two processes at once', () => {
  it('two hundred right ones are two hundred times 200, and leave every count as it was', async () => {
    const { email, address } = await newcomer()
    const before = await counts()
    const answers = await many(200, (i) => login(i, email, password, i % 4 < 2 ? address : nowhere()))
    expect(answers.filter(({ status }) => status !== 200)).toEqual([])
    expect(await counts()).toEqual(before)
  })

  it('a thousand wrong ones get at most the limit of answers other than 429', async () => {
    const { email } = await newcomer()
    const answers = await many(1000, (i) => login(i, email, `wrong ${i}`, nowhere()))
    const statuses = answers.map(({ status }) => status)
    expect(statuses.filter((status) => status === 401)).toHaveLength(10)
    expect(statuses.filter((status) => status !== 401 && status !== 429)).toEqual([])
  })

  it('the right ones from a known network succeed beside a thousand wrong ones', async () => {
    const { email, address } = await newcomer()
    const [wrong, right] = await Promise.all([
      many(300, (i) => login(i, email, `wrong ${i}`, nowhere())),
      many(30, (i) => login(i, email, password, address)),
    ])
    expect(wrong.filter(({ status }) => status === 401)).toHaveLength(10)
    expect(right.filter(({ status }) => status !== 200)).toEqual([])
  })
})
