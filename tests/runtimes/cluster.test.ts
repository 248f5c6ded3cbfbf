import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, describe, expect, inject, it, vi } from 'vitest'
import { type Answer, patience, patient } from '../support/api.ts'
import { copyOf } from '../support/database.ts'
import { sample } from '../support/metrics.ts'
import { ownFolder, Program, send, until } from '../support/program.ts'
import { Connection } from '../support/socket.ts'
import { ada, bytesOf, firstToken, lostOf, refusal, useUntilTold } from '../support/stopping.ts'

// Each test starts three processes, which takes its time on a machine with other work.
vi.setConfig({ testTimeout: 90_000 })

const folder = await ownFolder()
const database = await copyOf(inject('template'))
const settings = {
  PORT: '0',
  DATA_DIR: join(folder, 'data'),
  DATABASE_URL: database.url,
  // None of the requests here waits for a connection.
  DATABASE_POOL_MAX: '8',
  DATABASE_TIMEOUT_MS: `${patience}`,
  WEB_CONCURRENCY: '2',
  GIT_COMMIT: '0123abc',
}
const signIn = { email: ada.email, password: ada.password }
afterAll(() => database.stop())

/** The processes that have begun to serve, in that order. */
const serving = ({ output }: Program) =>
  [...output.matchAll(/"msg":"a process serves","worker":(\d+)/g)].map(([, pid]) => Number(pid))

let node: Program | undefined
afterEach(() => node?.kill('SIGKILL'))

/** Starts two processes; and tells their address and an administrator's token. */
async function startTwo(): Promise<{ node: Program; url: string; token: string }> {
  const program = new Program('src/runtime/node/main.ts', settings)
  node = program
  const url = await program.said(/http:\/\/127\.0\.0\.1:\d+/)
  await until('two processes', () => serving(program).length === 2)
  const signedIn = await send('POST', `${url}/api/auth/login`, signIn)
  const token = signedIn.status === 200 ? signedIn.string('access') : await firstToken(url)
  return { node: program, url, token }
}

/** Which process gave an answer, as the log tells. */
function processOf({ output }: Program, answer: Answer): number {
  const [, pid] = new RegExp(`"pid":(\\d+),"requestId":"${answer.headers.get('X-Request-Id')}"`).exec(output) ?? []
  return Number(pid)
}

/** One connection to each of two processes. */
async function oneEach(program: Program, url: string): Promise<[Connection, Connection]> {
  const found = new Map<number, Connection>()
  await until('a connection to each', async () => {
    const connection = await Connection.open(url)
    const answer = await ask(connection, '/healthz')
    await until('the log', () => processOf(program, answer) > 0)
    found.set(processOf(program, answer), connection)
    return found.size === 2
  })
  const [one, other] = [...found.values()]
  if (!one || !other) throw new Error('two connections were counted')
  return [one, other]
}

const ask = (connection: Connection, path: string) => connection.send(bytesOf('GET', path, 'none')).answer()

/** How many requests for /healthz the figures tell of, where they are asked for over this connection. */
const healthChecks = async (connection: Connection) =>
  sample(
    (await ask(connection, '/metrics')).text,
    'http_request_duration_seconds_count{method="GET",route="/healthz",status="200"}',
  )

describe('several processes on one port', () => {
  it('know within five seconds what another was told', async () => {
    const { node, url } = await startTwo()
    const [one, other] = await oneEach(node, url)
    const access = (await send('POST', `${url}/api/auth/login`, signIn)).string('access')
    const me = bytesOf('GET', '/api/auth/me', access)
    for (const connection of [one, other]) expect((await connection.send(me).answer()).status).toBe(200)
    expect((await one.send(bytesOf('POST', '/api/auth/logout', access, {})).answer()).status).toBe(204)
    expect((await one.send(me).answer()).status).toBe(401)
    // Five, and the time that a request takes.
    await until('the other to know', async () => (await other.send(me).answer()).status === 401, 7)
  })

  it('lose nothing that was acknowledged when one is killed, and are two again', async () => {
    const { node, url, token } = await startTwo()
    const [, victim = 0] = serving(node)
    const answers: Answer[] = []
    const load = Array.from({ length: 8 }, () =>
      useUntilTold(url, token, answers).then(
        () => 'told',
        () => 'cut',
      ),
    )
    await until('a load', () => answers.length > 100)
    process.kill(victim, 'SIGKILL')
    await until('another', () => serving(node).length === 3)
    const before = answers.length
    await until('the load to go on', () => answers.length > before + 100)
    node.kill()
    expect(new Set(await Promise.all(load))).toEqual(new Set(['told', 'cut']))
    expect(await node.exit()).toBe(0)
    // What a process has read, and not yet written into the trail, dies with it.
    expect(
      await lostOf(
        database.url,
        answers.filter(({ status }) => status === 201),
      ),
    ).toEqual([])
    expect(node.output).toMatch(/"level":"error".*"msg":"a process died, another is started"/)
  })

  it('stop without failing a request, and with all of the trail', async () => {
    const { node, url, token } = await startTwo()
    const answers: Answer[] = []
    const load = Promise.all(Array.from({ length: 8 }, () => useUntilTold(url, token, answers)))
    await until('a load', () => answers.length > 200)
    // Lines follow their answers by a turn of the event loop.
    const logged = answers.slice()
    await until('their lines in the log', () => logged.every((answer) => processOf(node, answer) > 0))
    const pids = new Set(logged.map((answer) => processOf(node, answer)))
    expect([...pids].sort()).toEqual(serving(node).sort())
    const before = performance.now()
    node.kill()
    // As systemd does, which signals to all.
    for (const pid of pids) process.kill(pid, 'SIGTERM')
    await refusal(url)
    await load
    expect(await node.exit()).toBe(0)
    expect(performance.now() - before).toBeLessThan(10_500)
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 201]))
    expect(await lostOf(database.url, answers)).toEqual([])
    expect(node.output).not.toMatch(/"level":"(error|warn)"/)
  })

  it('answer a scrape as one, whichever is asked, also while one of them hangs and once it has ended', async () => {
    const { node, url } = await startTwo()
    const [one, other] = await oneEach(node, url)
    const startedAt = sample((await ask(one, '/metrics')).text, 'process_start_time_seconds')
    const before = await healthChecks(one)
    for (const connection of [one, one, other]) await ask(connection, '/healthz')
    const last = await ask(other, '/healthz')
    expect([await healthChecks(one), await healthChecks(other)]).toEqual([before + 4, before + 4])

    await until('the log', () => processOf(node, last) > 0)
    const victim = processOf(node, last)
    process.kill(victim, 'SIGSTOP')
    expect(await healthChecks(one)).toBe(before + 4)
    process.kill(victim, 'SIGKILL')
    await until('another', () => serving(node).length === 3)
    expect(await healthChecks(one)).toBe(before + 4)
    await ask(one, '/healthz')
    expect(await healthChecks(one)).toBe(before + 5)

    // Since the first has started, whatever became of the others.
    const { text } = await ask(one, '/metrics')
    expect(sample(text, 'process_start_time_seconds')).toBe(startedAt)
    expect(sample(text, 'service_ready')).toBe(1)
    expect(text).toMatch(/^build_info{version="[^"]+",commit="0123abc"} 1$/m)
    expect(sample(text, 'http_server_errors_total')).toBe(0)
  })

  it('do not wait for ever for the figures where the one that watches over them hangs', async () => {
    const { node, url } = await startTwo()
    const connection = await Connection.open(url)
    await ask(connection, '/healthz')
    node.kill('SIGSTOP')
    const refused = await ask(connection, '/metrics')
    expect([refused.status, refused.at('type')]).toEqual([503, '/problems/unavailable'])
    expect((await ask(connection, '/healthz')).status).toBe(200)
    node.kill('SIGCONT')
    node.kill()
    expect(await node.exit()).toBe(0)
  })

  it('do not outlive the one that watches over them', async () => {
    const { node, url, token } = await startTwo()
    const create = bytesOf('POST', '/api/patients', token, patient())
    const connection = await Connection.open(url)
    // In one piece: who has answered the first has the beginning of the second.
    connection.send(bytesOf('GET', '/healthz', token) + create.slice(0, 200))
    expect((await connection.answer()).status).toBe(200)
    node.kill('SIGKILL')
    await until('its end', () => node.ended)
    await refusal(url)
    // What is under way is finished; then all that print where it did have ended.
    connection.send(create.slice(200))
    expect((await connection.answer()).status).toBe(201)
    expect(await node.exit()).toBe(null)
    const [one = 0, other = 0] = serving(node)
    for (const pid of [one, other]) {
      expect(node.output).toContain(
        `"level":"error","pid":${pid},"msg":"stopping","reason":"the first process has ended"`,
      )
      expect(node.output).toMatch(new RegExp(`"pid":${pid},"msg":"stopped","ms":\\d+`))
    }
  })

  it('say why they stop, and that one of them which is told to is no fault', async () => {
    const { node } = await startTwo()
    const [first] = serving(node)
    process.kill(Number(first), 'SIGTERM')
    await until('another', () => serving(node).length === 3)
    node.kill('SIGHUP')
    expect(await node.exit()).toBe(0)
    const stopping = [...node.output.matchAll(/"pid":(\d+),"msg":"stopping","reason":"(\w+)"/g)]
    const [, second, third] = serving(node)
    expect(stopping.map(([, pid, reason]) => `${pid} ${reason}`).sort()).toEqual(
      [`${first} SIGTERM`, `${node.pid} SIGHUP`, `${second} SIGHUP`, `${third} SIGHUP`].sort(),
    )
    expect(node.output.match(/"msg":"stopped","ms":\d+/g)).toHaveLength(4)
    expect(node.output).not.toMatch(/"level":"(error|warn)"/)
  })
})

describe('several processes that cannot start', () => {
  it('say why, once, and leave nothing running', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    await until('a port', () => other.listening)
    const taken = other.address()
    const port = typeof taken === 'object' ? String(taken?.port) : ''
    node = new Program('src/runtime/node/main.ts', { ...settings, PORT: port })
    expect(await node.exit()).toBe(1)
    expect(node.output.trim()).toBe(`Port ${port} of 127.0.0.1 is taken: stop what uses it, or set PORT.`)
    other.close()
  })

  it('name the settings at fault once, and one of them is a database of one process', async () => {
    const { DATABASE_URL: _, ...rest } = settings
    node = new Program('src/runtime/node/main.ts', { ...rest, DATA_DIR: join(folder, 'none'), PORT: 'secret-a' })
    expect(await node.exit()).toBe(1)
    expect(node.output.match(/^ {2}\w+/gm)).toEqual(['  PORT', '  WEB_CONCURRENCY'])
    expect(node.output).not.toContain('secret-a')
    expect(existsSync(join(folder, 'none', 'postgres'))).toBe(false)
  })
})
