import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { password, patient } from '../support/api.ts'
import { ownFolder, Program, send, until } from '../support/program.ts'

const folder = await ownFolder()
const settings = (name: string, more: Record<string, string> = {}) => ({
  PORT: '0',
  DATA_DIR: join(folder, name),
  LOG_LEVEL: 'warn',
  ...more,
})
/** What `npm start` runs. */
const start = (name: string, more?: Record<string, string>) =>
  new Program('--import', settings(name, more), ['./src/runtime/node/preload.ts', 'src/runtime/node/main.ts'])
const address = (server: Program) => server.said(/http:\/\/127\.0\.0\.1:\d+/)

const ada = { name: 'Ada Admin', email: 'ada@example.org', password }
const signUp = (url: string) => send('POST', `${url}/api/auth/register`, ada)
const signIn = (url: string) => send('POST', `${url}/api/auth/login`, { email: ada.email, password })

describe('npm start', () => {
  it('makes a database, keeps it over a stop in order, and finds it again', async () => {
    const first = start('kept')
    const url = await address(first)
    const registered = await signUp(url)
    expect([registered.status, registered.at('user.role')]).toEqual([201, 'admin'])
    const token = registered.string('access')
    const { id } = await send('POST', `${url}/api/patients`, patient(), token)
    first.kill()
    expect(await first.exit()).toBe(0)

    const second = start('kept')
    const again = await address(second)
    expect((await send('GET', `${again}/api/patients/${id}`, undefined, token)).at('name')).toBe('Pat Patient')
    expect((await signIn(again)).status).toBe(200)
    second.kill('SIGINT')
    expect(await second.exit()).toBe(0)
  })

  it('lets nobody else at its folder, and loses nothing over it', async () => {
    const server = start('held')
    const url = await address(server)
    const token = (await signUp(url)).string('access')
    const refused = start('held')
    expect(await refused.exit()).toBe(1)
    expect(refused.output.trim().split('\n')).toEqual([expect.stringContaining('is in use by another process')])
    expect((await send('POST', `${url}/api/patients`, patient(), token)).status).toBe(201)
    expect((await send('GET', `${url}/api/patients`, undefined, token)).list()).toHaveLength(1)
    server.kill()
    expect(await server.exit()).toBe(0)
  })

  it('loses nothing that was acknowledged when it is killed while writing', async () => {
    const server = start('killed')
    const url = await address(server)
    const token = (await signUp(url)).string('access')
    const acknowledged: string[] = []
    const write = async () => {
      for (let count = 0; count < 200; count += 1) {
        const answer = await send('POST', `${url}/api/patients`, patient({ name: `Pat ${count}` }), token)
        if (answer.status === 201) acknowledged.push(answer.id)
      }
    }
    const writers = [1, 2, 3, 4].map(() => write().catch(() => {}))
    await until('some writes', () => acknowledged.length >= 50)
    server.kill('SIGKILL')
    await Promise.all(writers)
    expect(acknowledged.length).toBeLessThan(800)

    const next = start('killed')
    const again = await address(next)
    const found = await Promise.all(
      acknowledged.map((id) => send('GET', `${again}/api/patients/${id}`, undefined, token)),
    )
    expect(found.filter(({ status }) => status !== 200)).toEqual([])
    next.kill()
    expect(await next.exit()).toBe(0)
  })

  it('starts after it was killed at any moment of its very first start', async () => {
    const has = (file: string) => () => existsSync(join(folder, 'young', file))
    const moments = [
      has('lock'),
      has('jwt-secret'),
      has('postgres.new'),
      has('postgres.new/PG_VERSION'),
      has('postgres'),
      has('database-url'),
    ]
    for (const moment of moments) {
      const server = start('young')
      await until('the moment', () => moment() || server.ended)
      server.kill('SIGKILL')
      expect(await server.exit()).toBe(null)
    }
    const server = start('young')
    expect((await signUp(await address(server))).status).toBe(201)
    server.kill()
    expect(await server.exit()).toBe(0)
  }, 120_000)
})

describe('settings', () => {
  it('are all named at once where they are at fault, and never repeated', async () => {
    const server = start('none', {
      PORT: 'secret-a',
      JWT_SECRET: 'secret-b',
      TRUST_PROXY: 'secret-c',
      NODE_ENV: 'secret-d',
    })
    expect(await server.exit()).toBe(1)
    for (const name of ['PORT', 'JWT_SECRET', 'TRUST_PROXY', 'NODE_ENV'])
      expect(server.output).toMatch(new RegExp(`^ {2}${name}(\\.\\d+)?: `, 'm'))
    expect(server.output).not.toMatch(/secret-|node_modules|^ +at /m)
  })

  it('need a database and a secret in production', async () => {
    const server = start('none', { NODE_ENV: 'production' })
    expect(await server.exit()).toBe(1)
    expect(server.output).toContain('  DATABASE_URL: is required in production')
    expect(server.output).toContain('  JWT_SECRET: is required')
    expect(existsSync(join(folder, 'none'))).toBe(false)
  })

  it('may name a port that is taken, and it is said so', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await until('a port', () => other.listening)
    const taken = other.address()
    const port = typeof taken === 'object' ? String(taken?.port) : ''
    const server = start('taken', { PORT: port })
    expect(await server.exit()).toBe(1)
    expect(server.output.trim()).toBe(`Port ${port} of 127.0.0.1 is taken: stop what uses it, or set PORT.`)
    other.close()
  })
})
