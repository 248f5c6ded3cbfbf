import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import { BoundSocket } from 'node:net'
import { afterAll, describe, expect, inject, it, vi } from 'vitest'
import { getActivatedSocket } from '../../src/runtime/node/socket-activation.ts'
import { type Answer, patience, patient } from '../support/api.ts'
import { copyOf } from '../support/database.ts'
import { Load } from '../support/load.ts'
import { documentedNginx, hasNginx, nginx } from '../support/nginx.ts'
import { freePort } from '../support/port.ts'
import { ownFolder, send, startNode, until } from '../support/program.ts'
import { Connection } from '../support/socket.ts'
import { ada, bytesOf, firstToken, lostOf } from '../support/stopping.ts'

// Ten restarts of two processes each.
vi.setConfig({ testTimeout: 300_000 })
const rounds = 10

const folder = await ownFolder()
const database = await copyOf(inject('template'))
afterAll(() => database.stop())
const settings = {
  DATABASE_TIMEOUT_MS: `${patience}`,
  FIRST_USER_IS_ADMIN: 'true',
  LOG_LEVEL: 'info',
}

/** An administrator's access token, from the service at `url`. */
async function tokenFrom(url: string): Promise<string> {
  const { email, password } = ada
  const signedIn = await send('POST', `${url}/api/auth/login`, { email, password })
  return signedIn.status === 200 ? signedIn.string('access') : firstToken(url)
}

/** Adds patients until it is told to end, each over a connection of its own. */
class Newcomers {
  readonly answers: Answer[] = []
  readonly failures: unknown[] = []
  readonly #clients: Promise<void>[]
  #stopped = false

  constructor(url: string, token: string, clients = 4) {
    const request = bytesOf('POST', '/api/patients', token, patient())
    this.#clients = Array.from({ length: clients }, async () => {
      while (!this.#stopped) await this.#add(url, request)
    })
  }

  async #add(url: string, request: string): Promise<void> {
    try {
      const connection = await Connection.open(url)
      this.answers.push(await connection.send(request).answer())
      connection.socket.destroy()
    } catch (error) {
      this.failures.push(error)
    }
  }

  stop(): Promise<unknown> {
    this.#stopped = true
    return Promise.all(this.#clients)
  }
}

/** Restarts what serves at `url` again and again while patients are added and read there, and expects that nobody notices. */
async function restartUnderLoad(
  url: string,
  restart: () => Promise<void>,
  stop: () => Promise<unknown>,
): Promise<void> {
  const token = await tokenFrom(url)
  const load = new Load(url, token)
  const newcomers = new Newcomers(url, token)
  const progress = async () => {
    const before = [load.outcomes.length, newcomers.answers.length] as const
    const goesOn = () => load.outcomes.length > before[0] + 20 && newcomers.answers.length > before[1] + 20
    await until('the load to go on', goesOn)
  }
  for (let round = 0; round < rounds; round += 1) {
    await progress()
    await restart()
  }
  await progress()
  await Promise.all([load.stop(), newcomers.stop()])
  await stop()
  const answers = [...load.outcomes.map(({ answer }) => answer), ...newcomers.answers]
  expect([...load.unanswered, ...newcomers.failures]).toEqual([])
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 201]))
  expect(await lostOf(database.url, answers)).toEqual([])
}

const start = (more: Record<string, string>, socket?: number) =>
  startNode(database.url, folder, { ...settings, ...more }, socket)

it.each(['1', '2'])(
  'on a socket of systemd %s process(es) restart without a failed request',
  async (WEB_CONCURRENCY) => {
    using socket = new BoundSocket({ host: '127.0.0.1' })
    let instance = await start({ WEB_CONCURRENCY }, socket.fd())
    const stop = async () => expect(await instance.stop()).toBe(0)
    const restart = async () => {
      await stop()
      instance = await start({ WEB_CONCURRENCY }, socket.fd())
    }
    await restartUnderLoad(instance.url, restart, stop)
  },
)

it.skipIf(!hasNginx && !process.env.CI)(
  'two instances behind nginx restart one after the other without a failed request',
  async () => {
    const ports = [await freePort(), await freePort()]
    const startAt = (port: number) => start({ PORT: `${port}`, TRUST_PROXY: '127.0.0.1' })
    const instances = await Promise.all(ports.map(startAt))
    const urls = instances.map(({ url }) => url)
    const proxy = await nginx((port) => documentedNginx(port, urls))
    const restart = async () => {
      for (const [index, port] of ports.entries()) {
        expect(await instances[index]?.stop()).toBe(0)
        instances[index] = await startAt(port)
      }
    }
    await restartUnderLoad(proxy.url, restart, () => Promise.all(instances.map((instance) => instance.stop())))
    await proxy.stop()
  },
)

describe('A service on a socket of systemd', () => {
  it('a service ends, to be started on its socket again, where all of several processes have died', async () => {
    using socket = new BoundSocket({ host: '127.0.0.1' })
    const { program } = await start({ WEB_CONCURRENCY: '2' }, socket.fd())
    const serving = () => [...program.output.matchAll(/"msg":"a process serves","worker":(\d+)/g)]
    await until('two processes', () => serving().length === 2)
    for (const [, pid] of serving()) process.kill(Number(pid), 'SIGKILL')
    expect(await program.exit()).toBe(1)
    expect(program.output).toContain('"msg":"stopping","reason":"no process has the socket of systemd any more"')
  })

  it('a service has one socket, which is its own', () => {
    expect(getActivatedSocket({ LISTEN_PID: '7', LISTEN_FDS: '1' }, 7)).toBe(3)
    expect(getActivatedSocket({ LISTEN_PID: '6', LISTEN_FDS: '1' }, 7)).toBe(undefined)
    expect(getActivatedSocket({}, 7)).toBe(undefined)
    expect(() => getActivatedSocket({ LISTEN_PID: '7', LISTEN_FDS: '2' }, 7)).toThrow('needs one ListenStream')
  })
})

describe.skipIf(!hasNginx && !process.env.CI)('nginx before two instances', () => {
  const methods = ['GET', 'POST', 'PATCH', 'POST', 'PATCH', 'GET', 'POST', 'PATCH']

  /** A server that does as `act` says with what it was asked, and notes the methods in `asked`. */
  async function serverThat(act: RequestListener, asked: string[]): Promise<{ url: string; server: Server }> {
    const server = createServer((request, response) => {
      request.resume().on('end', () => {
        asked.push(request.method ?? '')
        act(request, response)
      })
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    return { url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`, server }
  }

  /** What all methods are answered behind nginx, before a server that answers and the one at `url`. */
  async function statusesBefore(url: string, asked: string[]): Promise<number[]> {
    const answering = await serverThat((_, response) => response.end(), asked)
    const proxy = await nginx((port) => documentedNginx(port, [url, answering.url]))
    const statuses: number[] = []
    for (const method of methods) {
      const body = method === 'GET' ? {} : { body: '{}' }
      statuses.push((await fetch(proxy.url, { method, ...body })).status)
    }
    await proxy.stop()
    answering.server.close()
    return statuses
  }

  it('nginx asks the other instance where one takes no connection, whatever the method', async () => {
    const asked: string[] = []
    const statuses = await statusesBefore(`http://127.0.0.1:${await freePort()}`, asked)
    expect(statuses).toEqual(methods.map(() => 200))
    expect(asked).toEqual(methods)
  })

  it('nginx sends no POST and no PATCH again that may have been done', async () => {
    const asked: string[] = []
    const silent = await serverThat((request) => request.socket.destroy(), asked)
    const statuses = await statusesBefore(silent.url, asked)
    silent.server.close()
    const writes = (all: string[]) => all.filter((method) => method !== 'GET')
    expect(writes(asked)).toEqual(writes(methods))
    expect(methods.filter((_, index) => statuses[index] === 502)).toContain('POST')
    expect(methods.filter((_, index) => statuses[index] === 502)).not.toContain('GET')
  })
})
