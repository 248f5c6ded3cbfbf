import { like, sql } from 'drizzle-orm'
import { afterAll, describe, expect, it } from 'vitest'
import type { DatabaseOrTransaction } from '../../src/context.ts'
import { closeDatabase, connectDatabase } from '../../src/database/client.ts'
import { rateLimitBuckets } from '../../src/features/auth/schema.ts'
import { password, world } from '../support/api.ts'
import { until } from '../support/program.ts'

const { api, url, admin } = await world()
/** Whoever ends connections, and looks on. */
const operator = connectDatabase(url, { maxConnections: 2 })
afterAll(() => closeDatabase(operator))

const pidOf = async (db: DatabaseOrTransaction) =>
  (await db.execute<{ pid: number }>(sql`select pg_backend_pid() as pid`))[0]?.pid ?? 0
/** Ends a connection, and waits until the server knows it no more. */
async function end(pid: number) {
  await operator.execute(sql`select pg_terminate_backend(${pid})`)
  await until('the connection to end', async () => {
    const left = await operator.execute(sql`select from pg_stat_activity where pid = ${pid}`)
    return left.length === 0
  })
}
/** A row to be found again, and how many of them there are. */
const write = (db: DatabaseOrTransaction, key: string) =>
  db.execute(sql`insert into throttle values (${key}, 0, now())`)
const written = (prefix: string) => api.db.$count(rateLimitBuckets, like(rateLimitBuckets.key, `${prefix}%`))
/** What a pool that lost a connection comes to: it works again, perhaps not with the first statement. */
const recovers = () =>
  until('the pool to work again', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => admin.get('/api/auth/me')))
    return answers.every(({ status }) => status === 200)
  })

describe('A connection lost in the middle of a transaction', () => {
  it('a lost connection is a 503 at once, and nothing is half-written', async () => {
    const person = await api.register('Lost')
    const newPassword = 'a password that never was'
    let pid = 0
    // Holds the session that the change of password wants to end, so that it waits between its statements.
    const other = await api.send('POST', '/api/auth/login', { email: person.email, password })
    const answer = await operator.transaction(async (db) => {
      await db.execute(sql`select from sessions where user_id = ${person.id} for update`)
      const changing = person.api.send(
        'POST',
        '/api/auth/password',
        { currentPassword: password, newPassword },
        {
          token: person.access,
        },
      )
      await until('the change to wait', async () => {
        const [waiting] = await operator.execute<{ pid: number }>(
          sql`select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
        )
        pid = waiting?.pid ?? 0
        return pid !== 0
      })
      await end(pid)
      return changing
    })
    expect(answer.status).toBe(503)
    expect(answer.headers.get('Retry-After')).toBe('1')
    await recovers()
    const old = await api.send('POST', '/api/auth/login', { email: person.email, password })
    expect(old.status).toBe(200)
    expect((await api.send('GET', '/api/auth/me', undefined, { token: other.string('access') })).status).toBe(200)
    const trail = await api.db.execute(
      sql`select from audit where user_id = ${person.id} and action = 'auth.password_changed'`,
    )
    expect(trail).toHaveLength(0)
  })

  it('a transaction rejects where its connection was idle, and sends nothing more over any other', async () => {
    let late: unknown
    const work = Promise.withResolvers<void>()
    const lost = api.db.transaction(async (db) => {
      await write(db, 'idle 1')
      await end(await pidOf(db))
      await work.promise
      await write(db, 'idle 2').catch((error: unknown) => {
        late = error
      })
      await write(db, 'idle 3')
    })
    await expect(lost).rejects.toMatchObject({ code: 'CONNECTION_CLOSED' })
    await recovers()
    work.resolve()
    await until('the late statement to fail', () => late !== undefined)
    await recovers()
    expect(await written('idle')).toBe(0)
  })

  it('a transaction rejects where statements wait for their turn, and no rollback meets another transaction', async () => {
    const lost = api.db.transaction(async (db) => {
      const pid = await pidOf(db)
      const statements = Array.from({ length: 20 }, (_, i) => write(db, `queue ${i}`))
      await Promise.all([db.execute(sql`select pg_sleep(60)`), end(pid), ...statements])
    })
    await expect(lost).rejects.toThrow()
    await recovers()
    await api.db.transaction(async (db) => {
      await write(db, 'kept')
    })
    expect(await written('queue')).toBe(0)
    expect(await written('kept')).toBe(1)
  })

  it('a connection that is idle in a transaction is ended by the database', async () => {
    const [setting] = await api.db.transaction((db) =>
      db.execute<{ limit: string }>(sql`select current_setting('idle_in_transaction_session_timeout') as limit`),
    )
    expect(setting?.limit).toBe('10s')
  })
})

describe('A transaction', () => {
  it('a transaction returns what its work returns, and undoes what it wrote where that fails', async () => {
    expect(await api.db.transaction(async () => ['a', Promise.resolve('b')])).toHaveLength(2)
    const failed = api.db.transaction(async (db) => {
      await write(db, 'failed')
      throw new RangeError('no')
    })
    await expect(failed).rejects.toThrow(RangeError)
    const refused = api.db.transaction(async (db) => {
      await write(db, 'failed')
      await write(db, 'failed')
    })
    await expect(refused).rejects.toMatchObject({ cause: { code: '23505' } })
    expect(await written('failed')).toBe(0)
  })
})
