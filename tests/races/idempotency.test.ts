import { sql } from 'drizzle-orm'
import { afterAll, expect, it } from 'vitest'
import { closeDatabase, connectDatabase } from '../../src/database/client.ts'
import { Api, doctor, patient, world } from '../support/api.ts'
import { until } from '../support/program.ts'

const { api, url, admin } = await world({ DATABASE_POOL_MAX: '10' })
const other = await Api.start(url, { DATABASE_POOL_MAX: '10' })
const either = (i: number) => (i % 2 === 0 ? api : other)
/** Whoever holds locks, ends connections, and looks on. */
const operator = connectDatabase(url, { maxConnections: 2 })
afterAll(async () => {
  await closeDatabase(operator)
  await other.stop()
})

const rounds = Array.from({ length: 20 }, (_, round) => round)
const token = admin.access
const keyed = (key: string) => ({ token, headers: { 'Idempotency-Key': key } })

it('twenty requests with one key make one record, and get one answer', async () => {
  for (const round of rounds) {
    const body = patient({ address: `Round ${round}` })
    const key = keyed(`twenty-${round}`)
    const send = (i: number) => either(i).send('POST', '/api/patients', body, key)
    const answers = await Promise.all(Array.from({ length: 20 }, (_, i) => send(i)))
    const made = answers.filter(({ status }) => status === 201)
    for (const answer of answers)
      if (answer.status !== 201) {
        expect(`${answer.status} ${answer.at('type')}`).toBe('409 /problems/idempotency-in-progress')
        expect(answer.headers.get('Retry-After')).toBe('1')
      }
    expect(made.filter(({ headers }) => !headers.has('Idempotent-Replayed'))).toHaveLength(1)
    expect(new Set(made.map(({ text }) => text)).size).toBe(1)
    expect((await send(round)).text).toBe(made[0]?.text)
    const rows = await operator.execute(sql`select from patients where address = ${`Round ${round}`}`)
    expect(rows).toHaveLength(1)
  }
})

it('twenty keys that come at once with old ones to delete, and are old themselves, do not wait for each other', async () => {
  for (const round of rounds.slice(0, 5)) {
    const send = (i: number) => either(i).send('POST', '/api/patients', patient(), keyed(`again-${i % 20}`))
    const twenty = () => Promise.all(Array.from({ length: 20 }, (_, i) => send(i)))
    await operator.execute(sql`update idempotency_keys set created_at = created_at - interval '1 day'`)
    const answers = await twenty()
    expect(
      answers.map(({ status }) => status),
      `round ${round}`,
    ).toEqual(Array(20).fill(201))
    expect(answers.filter(({ headers }) => headers.has('Idempotent-Replayed'))).toHaveLength(0)
  }
})

it('a key is free again once the connection of the first request is lost, which leaves nothing', async () => {
  for (const round of rounds.slice(0, 5)) {
    const { id: doctorId } = await admin.post('/api/doctors', doctor())
    const { id: patientId } = await admin.post('/api/patients', patient())
    const startsAt = new Date(Date.now() + (48 + round) * 3_600_000).toISOString()
    const endsAt = new Date(Date.now() + (49 + round) * 3_600_000).toISOString()
    const body = { patientId, doctorId, startsAt, endsAt }
    const send = (by: Api, key: string) => by.send('POST', '/api/appointments', body, keyed(key))
    const key = `lost-${round}`

    const first = await operator.transaction(async (db) => {
      // Holds the doctor, so that the booking waits in its transaction.
      await db.execute(sql`select from doctors where id = ${doctorId} for update`)
      const booking = send(api, key)
      let pid = 0
      await until('the booking to wait', async () => {
        const [waiting] = await operator.execute<{ pid: number }>(
          sql`select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
        )
        pid = waiting?.pid ?? 0
        return pid !== 0
      })
      const meanwhile = await send(other, key)
      expect(meanwhile.at('type')).toBe('/problems/idempotency-in-progress')
      await operator.execute(sql`select pg_terminate_backend(${pid})`)
      return booking
    })
    expect(first.status).toBe(503)
    const second = await send(other, key)
    expect(second.status, second.text).toBe(201)
    expect(second.headers.has('Idempotent-Replayed')).toBe(false)
    expect((await send(other, key)).headers.get('Idempotent-Replayed')).toBe('true')
    const booked = await other.send('GET', `/api/appointments?doctorId=${doctorId}`, undefined, { token })
    expect(booked.each('id')).toEqual([second.id])
    // What lost a connection may fail once more.
    await until('the pool to work again', async () => {
      const answers = await Promise.all(Array.from({ length: 20 }, () => admin.get('/api/auth/me')))
      return answers.every(({ status }) => status === 200)
    })
  }
})
