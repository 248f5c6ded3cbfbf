import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { closeDatabase, connectDatabase } from '../../src/database/client.ts'
import { migrateDatabase } from '../../src/database/migrate.ts'
import { type Answer, patience, patient } from '../support/api.ts'
import { hasPostgres, PostgresServer } from '../support/postgres.ts'
import { ownFolder, send, startNode, until } from '../support/program.ts'
import { firstToken } from '../support/stopping.ts'

// Ten failovers, with a copy of the database for each.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 120_000 })
const rounds = 10
const clientCount = 10

/** Adds patients one after another, each sent again with its key until it is answered 201. */
class PersistentClients {
  /** The id that was acknowledged, by the patient's name. */
  readonly acknowledged = new Map<string, string>()
  readonly #clients: Promise<void>[]
  #isStopped = false

  constructor(url: string, token: string, round: number) {
    this.#clients = Array.from({ length: clientCount }, async (_, client) => {
      for (let i = 0; !this.#isStopped; i += 1)
        await this.#add(url, token, `Round ${round} client ${client} patient ${i}`)
    })
  }

  async #add(url: string, token: string, name: string): Promise<void> {
    const key = { 'Idempotency-Key': name.replaceAll(' ', '-') }
    for (;;) {
      const answer: Answer = await send('POST', `${url}/api/patients`, { ...patient(), name }, token, key)
      if (answer.status === 503) expect(answer.headers.get('Retry-After')).not.toBeNull()
      if (answer.status === 201) {
        this.acknowledged.set(name, answer.string('id'))
        return
      }
      if (answer.status !== 503) throw new Error(`${answer.status}: ${answer.text}`)
    }
  }

  /** Resolves once so many more have been acknowledged. */
  async haveAdded(count: number): Promise<void> {
    const before = this.acknowledged.size
    await until('writes to be acknowledged', () => this.acknowledged.size >= before + count, 30)
  }

  stop(): Promise<unknown> {
    this.#isStopped = true
    return Promise.all(this.#clients)
  }
}

describe.skipIf(!hasPostgres)('DATABASE_URL with several hosts', async () => {
  const folder = await ownFolder()
  const [first, second] = [await PostgresServer.make(), await PostgresServer.make()]
  const url = `postgres://postgres@127.0.0.1:${first.port},127.0.0.1:${second.port}/postgres?target_session_attrs=read-write`
  beforeAll(async () => {
    await first.start()
    await migrateDatabase(url)
    second.becomeStandbyOf(first)
    await second.start()
    await first.requireSynchronousStandby(true)
  })
  afterAll(() => Promise.all([first.remove(), second.remove()]))

  it.each([
    ['the standby first', () => [second, first]],
    ['a host that refuses connections first', () => [{ port: 1 }, first]],
    ['the standby and one that refuses first', () => [second, { port: 1 }, first]],
  ])('a write goes to the primary, with %s', async (_, order) => {
    const hosts = order().map(({ port }) => `127.0.0.1:${port}`)
    const db = connectDatabase(`postgres://postgres@${hosts.join(',')}/postgres`, { maxConnections: 3 })
    const answers = await Promise.all(
      Array.from({ length: 6 }, () => db.$client.unsafe('select pg_is_in_recovery() as standby')),
    )
    expect(answers.map(([row]) => row?.standby)).toEqual(Array.from({ length: 6 }, () => false))
    await closeDatabase(db)
  })

  it('a call fails at once where none of them accepts connections', async () => {
    const db = connectDatabase('postgres://postgres@127.0.0.1:1,127.0.0.1:2/postgres', { maxConnections: 2 })
    for (let i = 0; i < 3; i += 1)
      await expect(db.$client.unsafe('select 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    await closeDatabase(db)
  })

  it('a server that takes no writes any more is left for another that does', async () => {
    const ports = [first.port, first.port]
    const hosts = ports.map((port) => `127.0.0.1:${port}`).join(',')
    const db = connectDatabase(`postgres://postgres@${hosts}/postgres`, { maxConnections: 1 })
    const backend = async () => (await db.$client.unsafe('select pg_backend_pid() as pid'))[0]?.pid
    const before = await backend()
    await db.$client.unsafe('set default_transaction_read_only = on')
    await expect(db.$client.unsafe('create table planted (x int)')).rejects.toThrow('read-only')
    expect(await backend()).not.toBe(before)
    await db.$client.unsafe('create table planted (x int)')
    await db.$client.unsafe('drop table planted')
    await closeDatabase(db)
  })

  it('nothing acknowledged is lost, and nothing is made twice, where the primary dies and the standby is promoted', async () => {
    const service = await startNode(url, folder, {
      DATABASE_TIMEOUT_MS: `${patience}`,
      FIRST_USER_IS_ADMIN: 'true',
    })
    const token = await firstToken(service.url)
    let [primary, standby] = [first, second]
    for (let round = 1; round <= rounds; round += 1) {
      const clients = new PersistentClients(service.url, token, round)
      await clients.haveAdded(100)
      await primary.stop('SIGKILL')
      await standby.requireSynchronousStandby(false)
      await standby.promote()
      await clients.haveAdded(clientCount)
      await clients.stop()
      const db = connectDatabase(standby.url, { maxConnections: 1 })
      const rows = await db.$client.unsafe('select id, name from patients where name like $1', [`Round ${round} %`])
      await closeDatabase(db)
      expect(new Map(rows.map(({ name, id }) => [name, id]))).toEqual(clients.acknowledged)
      expect(rows).toHaveLength(clients.acknowledged.size)
      primary.becomeStandbyOf(standby)
      await primary.start()
      await standby.requireSynchronousStandby(true)
      ;[primary, standby] = [standby, primary]
    }
    await service.stop()
  })
})
