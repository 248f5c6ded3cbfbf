import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, inject, it, vi } from 'vitest'
import { type Answer, patience, patient } from '../support/api.ts'
import { copyOf } from '../support/database.ts'
import { Network } from '../support/network.ts'
import { ownFolder, Program, until } from '../support/program.ts'
import { Connection } from '../support/socket.ts'
import { ada, bytesOf, firstToken, isLast, lostOf, refusal, useUntilTold } from '../support/stopping.ts'

// A load and a drain take their time on a machine with other work.
vi.setConfig({ testTimeout: 90_000 })

const folder = await ownFolder()
const start = (name: string, more: Record<string, string> = {}) =>
  new Program('src/runtime/node/main.ts', { PORT: '0', DATA_DIR: join(folder, name), LOG_LEVEL: 'warn', ...more })
const address = (node: Program) => node.said(/http:\/\/127\.0\.0\.1:\d+/)
const times = <T>(count: number, make: () => Promise<T>) => Promise.all(Array.from({ length: count }, make))

/** The lines of the log that say something, without their times. */
const messages = ({ output }: Program) =>
  [
    ...output.matchAll(
      /"level":"(\w+)",(?:"pid":\d+,)?"msg":"([^"]+)"(?:,"(?:reason|signal)":"([^"]+)")?(,"ms":\d+)?/g,
    ),
  ].map(([, level, message, reason, ms]) =>
    [level, message, ...(reason ? [reason] : []), ...(ms ? ['ms'] : [])].join(' '),
  )
/** Where there is none. Nothing is asked of it. */
const noDatabase = 'postgres://nobody@127.0.0.1:1/none'

it.each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)(
  'says that %s stops it, that it has stopped, and after how long',
  async (signal) => {
    const node = start('told', { DATABASE_URL: noDatabase, LOG_LEVEL: 'info' })
    await address(node)
    node.kill(signal)
    expect(await node.exit()).toBe(0)
    expect(messages(node).slice(-2)).toEqual([`info stopping ${signal}`, 'info stopped ms'])
  },
)

it('answers, under load, whatever was sent before it said that it closes, and keeps it', async () => {
  const database = await copyOf(inject('template'))
  const node = start('load', { DATABASE_URL: database.url, DATABASE_TIMEOUT_MS: `${patience}` })
  const url = await address(node)
  const token = await firstToken(url)
  const answers: Answer[] = []
  const next = async (connection: Connection) => {
    const answer = await connection.answer()
    answers.push(answer)
    return answer
  }
  const create = bytesOf('POST', '/api/patients', token, patient())
  const list = bytesOf('GET', '/api/patients', token)
  const half = create.length - 20

  const busy = times(8, () => useUntilTold(url, token, answers))
  const [idle, midway, lined, silent] = await Promise.all([
    times(4, () => Connection.open(url)),
    times(4, () => Connection.open(url)),
    Connection.open(url),
    Connection.open(url),
  ])
  for (const connection of idle) expect(isLast(await next(connection.send(list)))).toBe(false)
  for (const connection of [...midway, lined]) connection.send(create.slice(0, half))
  await until('a load', () => answers.length > 200)

  const before = performance.now()
  node.kill('SIGTERM')
  // What npm does too at Ctrl-C: it is no second demand.
  node.kill('SIGINT')
  await refusal(url)
  for (const connection of midway) connection.send(create.slice(half))
  lined.send(create.slice(half) + list + list)
  const [probe, ...rest] = idle
  expect((await probe?.send(bytesOf('GET', '/readyz', token)).answer())?.status).toBe(503)
  for (const connection of rest) connection.send(list)

  for (const connection of [...midway, ...rest]) expect(isLast(await next(connection))).toBe(true)
  expect([isLast(await next(lined)), isLast(await next(lined)), isLast(await next(lined))]).toEqual([
    false,
    false,
    true,
  ])
  await busy
  await until('the silent connection to be closed', () => silent.ended)
  expect(await node.exit()).toBe(0)
  expect(performance.now() - before).toBeLessThan(10_000)

  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200, 201]))
  expect(await lostOf(database.url, answers)).toEqual([])
  expect(node.output).not.toMatch(/"level":"error"/)
  await database.stop()
})

it('answers who had connected before it was told to stop', async () => {
  const node = start('waiting', { DATABASE_URL: noDatabase })
  const url = await address(node)
  node.kill('SIGSTOP')
  // The kernel takes them up.
  const waiting = await times(20, () => Connection.open(url))
  for (const connection of waiting) connection.send(bytesOf('GET', '/healthz', 'none'))
  node.kill()
  node.kill('SIGCONT')
  const answers = await Promise.all(waiting.map((connection) => connection.answer()))
  expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200))
  expect(await node.exit()).toBe(0)
})

it('writes the last read into the trail before it ends', async () => {
  const database = await copyOf(inject('template'))
  const node = start('last', { DATABASE_URL: database.url })
  const url = await address(node)
  const connection = await Connection.open(url)
  const ask = (...request: Parameters<typeof bytesOf>) => connection.send(bytesOf(...request)).answer()
  const token = (await ask('POST', '/api/auth/register', 'none', ada)).string('access')
  node.kill()
  await refusal(url)
  // With this connection, the last one closes: nothing else is left to wait for.
  const read = await ask('GET', '/api/patients', token)
  expect([read.status, isLast(read)]).toEqual([200, true])
  expect(await node.exit()).toBe(0)
  expect(await lostOf(database.url, [read])).toEqual([])
  await database.stop()
})

it('ends at once at a second signal', async () => {
  const node = start('twice', { DATABASE_URL: noDatabase })
  const url = await address(node)
  const connection = (await Connection.open(url)).send(bytesOf('GET', '/healthz', 'none'))
  expect((await connection.answer()).status).toBe(200)
  connection.send('POST /api/auth/login HTTP/1.1\r\n')
  node.kill()
  await refusal(url)
  const before = performance.now()
  await until('the end', () => {
    node.kill()
    return node.ended
  })
  expect(await node.exit()).toBe(1)
  // Requests under way have seven seconds.
  expect(performance.now() - before).toBeLessThan(5000)
  expect(messages(node).at(-1)).toBe('warn ended at once by a second signal SIGTERM')
  connection.socket.destroy()
})

it('ends within ten seconds when the database has fallen silent', async () => {
  const database = await copyOf(inject('template'))
  const through = new URL(database.url)
  const network = new Network(Number(through.port || 5432))
  await network.open()
  through.host = `127.0.0.1:${network.port}`
  const node = start('frozen', { DATABASE_URL: through.href })
  const url = await address(node)
  const token = await firstToken(url)
  const connection = (await Connection.open(url)).send(bytesOf('GET', '/api/patients', token))
  expect((await connection.answer()).status).toBe(200)
  network.mode = 'swallow'
  connection.send(bytesOf('GET', '/api/patients', token))
  const before = performance.now()
  node.kill()
  // It says that something was left undone: the request, and the row of the trail.
  expect(await node.exit()).toBe(1)
  expect(performance.now() - before).toBeLessThan(10_000)
  expect(messages(node).at(-1)).toBe('error stopped before all was finished ms')
  await network.close()
  await database.stop()
})

it('ends in order while it is starting', async () => {
  const node = start('young', { LOG_LEVEL: 'info' })
  await until('the start', () => existsSync(join(folder, 'young', 'lock')))
  node.kill()
  expect(await node.exit()).toBe(0)
  expect(messages(node)).toEqual(['info stopping SIGTERM', 'info stopped ms'])
})

it('tells of a fault of its own no more than a log may know', async () => {
  const fault = "Promise.reject(Object.assign(new Error('secret' + '-a'), { name: 'DrizzleQueryError' }))"
  const program = `data:text/javascript,setInterval(() => process.listenerCount('uncaughtException') && (${fault}), 50)`
  const settings = { PORT: '0', DATABASE_URL: noDatabase, DATA_DIR: join(folder, 'fault') }
  const node = new Program('--import', settings, [program, 'src/runtime/node/main.ts'])
  expect(await node.exit()).toBe(1)
  expect(node.output).toMatch(/"level":"error","msg":"uncaught exception, exiting","err":\{"name":"DrizzleQueryError"/)
  expect(node.output).not.toContain('secret-a')
})
