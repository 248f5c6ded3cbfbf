import { describe, expect, it } from 'vitest'
import { type Answer, Api, doctor, type Person, password, patient, world } from '../support/api.ts'

const settings = {
  DATABASE_POOL_MAX: '20',
  LOGIN_FAILURES_PER_ACCOUNT: '1000',
  PATIENTS_PER_ACCOUNT_DAY: '7',
  UPLOADS_PER_ACCOUNT_DAY: '7',
  UPLOAD_MIB_PER_ACCOUNT_DAY: '1',
  SESSIONS_PER_ACCOUNT: '5',
  CALENDAR_FEEDS_PER_ACCOUNT: '3',
}
const { api, url, admin } = await world(settings)
const other = await Api.start(url, settings)
/** Two processes in turn: what holds must not hold by the memory of one. */
const either = (i: number) => (i % 2 === 0 ? api : other)
const rounds = Array.from({ length: 5 }, (_, round) => round)
const times = <T>(n: number, act: (i: number) => Promise<T>) => Promise.all(Array.from({ length: n }, (_, i) => act(i)))
const count = (answers: Answer[]) =>
  Object.fromEntries(
    [...new Set(answers.map(({ status }) => status))].map((status) => [
      status,
      answers.filter((answer) => answer.status === status).length,
    ]),
  )
const aDoctor = async () => {
  const person = await api.register('Doc')
  await admin.patch(`/api/users/${person.id}`, { role: 'doctor' })
  await admin.post('/api/doctors', doctor({ userId: person.id }))
  return person
}
const keyed = (i: number) => (i % 4 < 2 ? { 'Idempotency-Key': `key-${i}` } : {})
const upload = ({ access: token }: Person, patientId: string, bytes: number, i: number) => {
  const form = new FormData()
  form.append('title', 'Scan')
  form.append('kind', 'imaging')
  form.append('file', new Blob(['x'.repeat(bytes)]), 'scan.txt')
  return either(i).send('POST', `/api/patients/${patientId}/reports`, form, { token, headers: keyed(i) })
}

describe('A hundred requests at once over two processes', () => {
  it('as many patients are added as the limit allows', async () => {
    for (const _ of rounds) {
      const { access: token } = await api.register('Pat')
      const answers = await times(100, (i) =>
        either(i).send('POST', '/api/patients', patient(), { token, headers: keyed(i) }),
      )
      expect(count(answers)).toEqual({ 201: 7, 429: 93 })
      const listed = await api.send('GET', '/api/patients?count=true', undefined, { token })
      expect(listed.at('count')).toBe(7)
    }
  })

  it('as many reports are uploaded as the limit allows', async () => {
    for (const _ of rounds) {
      const person = await aDoctor()
      const { id } = await person.post('/api/patients', patient())
      expect(count(await times(100, (i) => upload(person, id, 10, i)))).toEqual({ 201: 7, 429: 93 })
      expect((await person.get(`/api/patients/${id}/reports`)).list()).toHaveLength(7)
    }
  })

  it('as many bytes are uploaded as the limit allows', async () => {
    for (const _ of rounds) {
      const person = await aDoctor()
      const { id } = await person.post('/api/patients', patient())
      expect(count(await times(40, (i) => upload(person, id, 250 * 1024, i)))).toEqual({ 201: 4, 429: 36 })
    }
  })

  it('as many calendar feeds are made as the limit allows', async () => {
    for (const _ of rounds) {
      const person = await aDoctor()
      const ids = (await times(10, () => person.post('/api/patients', patient()))).map(({ id }) => id)
      // Each of ten patients ten times: what replaces a feed is none more.
      const answers = await times(100, (i) =>
        either(i).send('POST', `/api/patients/${ids[i % 10]}/calendar-feed`, undefined, { token: person.access }),
      )
      const feeds = await times(10, (i) => person.get(`/api/patients/${ids[i]}/calendar-feed`))
      expect(count(feeds)).toEqual({ 200: 3, 404: 7 })
      expect(count(answers)).toEqual({ 201: 30, 429: 70 })
    }
  })

  it('as many sessions are left as the limit allows', async () => {
    for (const _ of rounds) {
      const { email } = await api.register('Pat')
      const answers = await times(40, (i) => either(i).send('POST', '/api/auth/login', { email, password }))
      const lists = await times(answers.length, (i) =>
        either(i).send('GET', '/api/auth/sessions', undefined, { token: answers[i]?.string('access') }),
      )
      expect(count(lists)).toEqual({ 200: 5, 401: 35 })
      const [listed] = lists.filter(({ status }) => status === 200)
      expect(listed?.list()).toHaveLength(5)
    }
  })
})
