import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { sql } from 'drizzle-orm'
import postgres from 'postgres'
import { afterAll, describe, expect, inject, it } from 'vitest'
import { auditLog } from '../../src/audit/schema.ts'
import { createAuditWriter, flushAtShutdown } from '../../src/audit/writer.ts'
import type { AuditEntry, Database, DatabaseOrTransaction } from '../../src/context.ts'
import { closeDatabase, connectDatabase, getPoolStats } from '../../src/database/client.ts'
import { getSendQuery, Query } from '../../src/database/pool/driver.ts'
import { losesPreparedStatements } from '../../src/database/pool/pooler-detection.ts'
import { getDriverClient } from '../../src/database/query/prepared-statement.ts'
import { toDatabaseProblem } from '../../src/http/database-problem.ts'
import { createJsonLogger } from '../../src/observability/logger.ts'
import { patience } from '../support/api.ts'
import { copyOf } from '../support/database.ts'
import { Network } from '../support/network.ts'
import { until } from '../support/program.ts'

const database = await copyOf(inject('template'))
const opened: Database[] = []
const networks: Network[] = []

/** A pool of the test's own, and the network between it and the database. */
async function pool(max: number, timeout = 1000, tellServer = true) {
  const url = new URL(database.url)
  const network = new Network(Number(url.port))
  await network.open()
  networks.push(network)
  url.port = String(network.port)
  const db = connectDatabase(url.href, {
    maxConnections: max,
    statementTimeoutMs: timeout,
    setServerTimeouts: tellServer,
  })
  opened.push(db)
  return { db, network }
}

afterAll(async () => {
  await Promise.all(networks.map((network) => network.close()))
  await Promise.all(opened.map((db) => closeDatabase(db, 1)))
  await database.stop()
})

/** What a failure is to the caller of the API, and its code. */
const failureOf = async (work: Promise<unknown>) => {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  return [toDatabaseProblem(error)?.type, toDatabaseProblem(error)?.details.cause]
}
const tooLate = ['unavailable', expect.objectContaining({ code: 'DEADLINE' })]

/** A table of the test's own. */
async function table(db: Database) {
  const name = `t_${crypto.randomUUID().replaceAll('-', '')}`
  const itself = sql.identifier(name)
  await db.execute(sql`create table ${itself} (n int)`)
  const rows = async (on: Pick<Database, 'execute'> = db) => (await on.execute(sql`select n from ${itself}`)).length
  return { name, add: (on: Pick<Database, 'execute'>) => on.execute(sql`insert into ${itself} values (1)`), rows }
}

setFlagsFromString('--expose-gc')
const collect: (what: { type: 'minor' | 'major' }) => void = runInNewContext('gc')

describe('Statements', () => {
  it('a statement leaves no rows behind for which the whole heap would have to be collected', async () => {
    const { db } = await pool(2, patience)
    const read = async (times: number) => {
      for (let i = 0; i < times; i += 1) {
        await Promise.all(
          Array.from({ length: 10 }, () => db.execute(sql`select repeat('x', 10000) from (values (${i})) v`)),
        )
        collect({ type: 'minor' })
      }
    }
    await read(10)
    collect({ type: 'major' })
    const before = process.memoryUsage().heapUsed
    await read(30)
    // Of three million characters.
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(2_000_000)
  })

  it('statements that only read are sent together over one connection, and are not delayed by what may take long', async () => {
    const { db } = await pool(3, patience)
    const done: string[] = []
    const slow = [
      'select count(*), pg_sleep(0.5) where $1',
      'with slow as (select pg_sleep(0.5)) select from slow where $1',
    ]
    const behind = slow.map((text) => db.$client.unsafe(text, [true], { prepare: true }).then(() => done.push('slow')))
    const read = async () => {
      const [row] = await db.$client.unsafe('select pg_backend_pid() as pid where $1', [true], { prepare: true })
      done.push('read')
      return row?.pid
    }
    for (const _ of ['connects', 'is connected']) {
      const [first, ...others] = await Promise.all(Array.from({ length: 5 }, read))
      expect(others).toEqual(Array(4).fill(first))
    }
    await Promise.all(behind)
    expect(done).toEqual([...Array(10).fill('read'), 'slow', 'slow'])
  })

  it('a statement that runs too long is stopped in the database', async () => {
    const { db } = await pool(1)
    const { db: onlooker } = await pool(1, patience)
    expect((await failureOf(db.execute(sql`select pg_sleep(60)`)))[0]).toBe('unavailable')
    const running = () =>
      onlooker.execute(
        sql`select 1 from pg_stat_activity where datname = current_database() and state = 'active' and query like '%pg_sleep(60)%' and pid <> pg_backend_pid()`,
      )
    await until('its end in the database', async () => (await running()).length === 0)
  })

  it('a statement that is never answered fails, and the next gets a connection that works', async () => {
    const { db, network } = await pool(1)
    await db.execute(sql`select 1`)
    network.mode = 'swallow'
    expect(await failureOf(db.execute(sql`select 1`))).toEqual(tooLate)
    network.mode = 'forward'
    const answers = () =>
      db.execute(sql`select 1`).then(
        () => true,
        () => false,
      )
    await until('an answer', answers, 3)
    await until('its connections to be free', () => getPoolStats(db)?.inUse === 0)
  })

  it('a statement is refused while every connection is taken, and at once where too many wait', async () => {
    const { db } = await pool(1)
    const { promise: held, resolve: release } = Promise.withResolvers<void>()
    const begun = Promise.withResolvers<void>()
    const { add, rows } = await table(db)
    const resting = db.transaction(async (transaction) => {
      await add(transaction)
      begun.resolve()
      await held
    })
    await begun.promise
    for (const _ of ['for longer', 'than a statement may take']) {
      const waiting = Array.from({ length: 100 }, () => failureOf(db.execute(sql`select 1`)))
      await until('a queue', () => getPoolStats(db)?.waiting === 100)
      expect(getPoolStats(db)).toEqual({ inUse: 1, waiting: 100, max: 1 })
      expect(await failureOf(db.execute(sql`select 1`))).toEqual([
        'unavailable',
        expect.objectContaining({ code: 'POOL_FULL' }),
      ])
      expect(await Promise.all(waiting)).toEqual(Array(100).fill(tooLate))
    }
    release()
    await resting
    expect(await rows()).toBe(1)
  })
})

describe('The driver', () => {
  it('postgres.js 3.4.9 keeps in a query the handler that sends it, on which database/pool/driver.ts relies', () => {
    const client = postgres(database.url, { max: 1 })
    expect(Reflect.get(client.unsafe(''), 'handler')).toBeTypeOf('function')
  })

  it('a driver that sends its queries in another way is used through its documented functions', async () => {
    const client = postgres(database.url, { max: 1, fetch_types: false })
    const withoutHandler = (text: string, ...rest: []) => (text === '' ? {} : client.unsafe(text, ...rest))
    const other: postgres.Sql = new Proxy(client, {
      get: (target, key) => (key === 'unsafe' ? withoutHandler : Reflect.get(target, key)),
    })
    const send = getSendQuery(other)
    const listener = { onData() {}, onDone() {}, onError() {}, onResent() {} }
    const rows = await new Promise((resolve, reject) => {
      const asked = { text: 'select $1::int + 1 as n', parameters: [1], prepare: true, rowMode: 'values' as const }
      send(new Query(listener, asked, resolve, reject))
    })
    expect([...Object(rows)]).toEqual([[2]])
    await client.end()
  })
})

describe('Connections', () => {
  it('a connection is replaced once hundreds of statements are prepared over it, and fails none of them', async () => {
    const { db } = await pool(1)
    const ask = (n: number) =>
      getDriverClient(db).unsafe(`select pg_backend_pid(), $1::int + ${n}`, [0], { prepare: true }).values()
    const pids = new Set<unknown>()
    for (let n = 0; n < 1200; n += 1) {
      const [[pid, sum] = []] = await ask(n)
      expect(sum).toBe(n)
      pids.add(pid)
    }
    expect(pids.size).toBe(3)
  })
})

describe('Transactions', () => {
  it('a transaction that is never answered fails and has changed nothing', async () => {
    const { db, network } = await pool(2)
    const { add, rows } = await table(db)
    const work = db.transaction(async (transaction) => {
      await add(transaction)
      network.mode = 'swallow'
      await add(transaction)
    })
    expect(await failureOf(work)).toEqual(tooLate)
    network.mode = 'forward'
    await until('nothing to be kept', async () => (await rows().catch(() => 1)) === 0)
  })

  it('a transaction whose connection is lost ends, whatever it still waits for', async () => {
    const { db, network } = await pool(2)
    const { add, rows } = await table(db)
    const outcome = await db
      .transaction(async (transaction) => {
        await add(transaction)
        await network.close()
        return Promise.allSettled(Array.from({ length: 200 }, () => add(transaction)))
      })
      .catch(toDatabaseProblem)
    expect(outcome).toMatchObject({ type: 'unavailable' })
    await network.open()
    await until('nothing to be kept', async () => (await rows().catch(() => 1)) === 0)
  })

  it('a transaction has its connection to itself also after another was lost: what others write meanwhile is not rolled back', async () => {
    const { db, network } = await pool(1)
    const { add, rows } = await table(db)
    const lost = db.execute(sql`select pg_sleep(30), ${1}::int`).catch(() => 'lost')
    await until('a connection', () => getPoolStats(db)?.inUse === 1)
    await network.close()
    expect(await lost).toBe('lost')
    await network.open()
    await until('another connection', async () => (await rows().catch(() => 1)) === 0)
    const written = Promise.withResolvers<unknown>()
    const work = db.transaction(async (transaction) => {
      await add(transaction)
      written.resolve(add(db).then(() => {}))
      await transaction.execute(sql`select pg_sleep(0.2)`)
      throw new Error('undone')
    })
    await expect(work).rejects.toThrow('undone')
    await written.promise
    expect(await rows()).toBe(1)
  })

  it('a transaction that takes too long in all fails, runs no further statement and is rolled back', async () => {
    // Far from what one statement may take, also where the server stands still for a while.
    const { db } = await pool(1, 3000)
    const { add, rows } = await table(db)
    const ended = Promise.withResolvers<unknown>()
    const work = db.transaction(async (transaction) => {
      await add(transaction)
      for (let n = 0; n < 12; n += 1) await transaction.execute(sql`select pg_sleep(0.5)`).catch(ended.resolve)
      await add(transaction).catch(() => {})
    })
    expect(await failureOf(work)).toEqual(tooLate)
    expect(await failureOf(Promise.reject(await ended.promise))).toEqual(tooLate)
    await until('its connection', () => getPoolStats(db)?.inUse === 0)
    expect(await rows()).toBe(0)
  })

  it('a transaction that has taken too long writes nothing, also where the driver sends its last statement again', async () => {
    // The server does not stop statements itself, as behind PgBouncer and Hyperdrive.
    const { db } = await pool(2, 1000, false)
    const { name, rows } = await table(db)
    const insert = (on: DatabaseOrTransaction) =>
      getDriverClient(on).unsafe(`insert into "${name}" values ($1) returning *`, [1], { prepare: true }).values()
    await insert(db)
    const [altered, migrated] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    const operator = connectDatabase(database.url, { maxConnections: 1 })
    opened.push(operator)
    const migration = operator.transaction(async (transaction) => {
      await transaction.execute(sql`alter table ${sql.identifier(name)} add column m int`)
      altered.resolve()
      await migrated.promise
    })
    await altered.promise
    let failed = false
    const work = db
      .transaction(async (transaction) => insert(transaction))
      .finally(() => {
        failed = true
      })
    // While others are answered, a connection that is silent is not given up.
    const told = failureOf(work)
    while (!failed) await db.execute(sql`select pg_sleep(0.05)`)
    expect(await told).toEqual(tooLate)
    // What the statement was prepared for is gone with this.
    migrated.resolve()
    await migration
    await until('its connection', () => getPoolStats(db)?.inUse === 0)
    // A further transaction over it is behind whatever the driver still sends.
    await Promise.all([db.transaction(rows), db.transaction(rows)])
    expect(await rows()).toBe(1)
  })
})

describe('Statements whose preparation is lost', () => {
  const select = (on: DatabaseOrTransaction) =>
    getDriverClient(on).unsafe('select $1::int', [1], { prepare: true }).values()
  const forget = (db: Database) => db.execute(sql`deallocate all`)

  it('a lost preparation is reported, whether the driver could prepare it again or its transaction has failed', async () => {
    let told = 0
    const db = connectDatabase(database.url, {
      maxConnections: 1,
      statementTimeoutMs: patience,
      onStatementLost: () => (told += 1),
    })
    opened.push(db)
    await select(db)
    await select(db)
    expect(told).toBe(0)
    await forget(db)
    expect(await select(db)).toHaveLength(1)
    expect(told).toBe(1)
    await forget(db)
    expect(await failureOf(db.transaction(async (transaction) => select(transaction)))).toEqual([
      'unavailable',
      expect.objectContaining({ code: '26000' }),
    ])
    expect(told).toBe(2)
  })

  it('a statement whose preparation is lost is sent again with the same values', async () => {
    const db = connectDatabase(database.url, { maxConnections: 1, statementTimeoutMs: patience })
    opened.push(db)
    const values = [true, false, 1, 't', '{"a":"b"}', '{a,b}', null]
    const types = ['boolean', 'boolean', 'int', 'text', 'json', 'text[]', 'date']
    const text = `select ${types.map((type, at) => `$${at + 1}::${type}::text`).join(', ')}`
    const read = () => getDriverClient(db).unsafe(text, values, { prepare: true }).values()
    const first = await read()
    await forget(db)
    expect(await read()).toEqual(first)
    expect(first[0]?.slice(0, 2)).toEqual(['true', 'false'])
  })

  it('a preparation that a migration made invalid is not reported as lost', async () => {
    let told = 0
    const db = connectDatabase(database.url, {
      maxConnections: 1,
      statementTimeoutMs: patience,
      onStatementLost: () => (told += 1),
    })
    opened.push(db)
    const { name, add } = await table(db)
    const read = () =>
      getDriverClient(db).unsafe(`select * from "${name}" where $1`, [true], { prepare: true }).values()
    await add(db)
    await read()
    await db.execute(sql`alter table ${sql.identifier(name)} add column m int`)
    expect(await read()).toEqual([[1, null]])
    expect(told).toBe(0)
  })
})

describe('The check for lost preparations', () => {
  it('a connection that is cut during the check is an error, and does not end the process', async () => {
    const { network } = await pool(1)
    network.fatal = 'select 1\0'
    const url = new URL(database.url)
    url.port = String(network.port)
    await expect(losesPreparedStatements(url.href)).rejects.toThrow('CONNECTION_CLOSED')
  })
})

describe('The audit writer', () => {
  const entry = (more: Partial<AuditEntry> = {}): AuditEntry => ({
    userId: null,
    role: null,
    ip: '192.0.2.1',
    userAgent: null,
    requestId: crypto.randomUUID(),
    action: 'patient.read',
    resource: 'patient',
    status: 200,
    ...more,
  })
  const rowsOf = async (db: Database, entries: AuditEntry[]) => {
    const rows = await db.select({ requestId: auditLog.requestId }).from(auditLog)
    return entries.map(({ requestId }) => rows.filter((row) => row.requestId === requestId).length)
  }

  it('the audit writer writes by itself once the database is back, each entry once', async () => {
    const { db, network } = await pool(1)
    const logged: string[] = []
    const log = createJsonLogger('error', (line) => logged.push(line))
    const writer = createAuditWriter(db, log, 10)
    const entries = [entry(), entry()]
    await db.execute(sql`select 1`)
    network.mode = 'cut'
    for (const one of entries) writer.enqueue(one)
    expect(await writer.flush()).toBe(2)
    expect(logged[0]).toMatch(/could not be written yet.*"waiting":2,"lost":0/)
    network.mode = 'forward'
    await until('the trail to be written', async () => writer.pendingCount === 0)
    expect(await rowsOf(db, entries)).toEqual([1, 1])
    expect(logged.filter((line) => !line.includes('"lost":0'))).toEqual([])
  })

  it('the audit writer writes when two hundred entries wait, whenever the next flush is', async () => {
    const { db } = await pool(1)
    const writer = createAuditWriter(
      db,
      createJsonLogger('silent', () => {}),
    )
    const entries = Array.from({ length: 201 }, () => entry())
    for (const one of entries) writer.enqueue(one)
    await until('a batch to be written', async () => writer.pendingCount === 1)
    expect(await rowsOf(db, entries)).toEqual(entries.map((_, i) => (i < 200 ? 1 : 0)))
  })

  it('the audit writer loses one entry that the database refuses, says so, and keeps the others of its batch', async () => {
    const { db } = await pool(1)
    const logged: string[] = []
    const writer = createAuditWriter(
      db,
      createJsonLogger('error', (line) => logged.push(line)),
    )
    const entries = [entry(), entry(), entry({ userId: 'not an id' }), entry(), entry()]
    for (const one of entries) writer.enqueue(one)
    expect(await writer.flush()).toBe(0)
    expect(await rowsOf(db, entries)).toEqual([1, 1, 0, 1, 1])
    expect(logged.map((line) => JSON.parse(line).lost)).toEqual([1])
  })

  it('the audit writer tries again when the process stops, and counts what is lost then', async () => {
    const { db, network } = await pool(1)
    await network.close()
    const logged: string[] = []
    const log = createJsonLogger('error', (line) => logged.push(line))
    const writer = createAuditWriter(db, log)
    for (const one of [entry(), entry(), entry()]) writer.enqueue(one)
    await flushAtShutdown(writer, log)
    expect(JSON.parse(logged.at(-1) ?? '{}')).toMatchObject({ msg: 'audit entries were lost', lost: 3 })
    expect(await writer.writeRows(['{}'])).toBe(false)
  })
})
