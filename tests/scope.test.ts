import { sql } from 'drizzle-orm'
import { beforeAll, describe, expect, it } from 'vitest'
import { type Answer, doctor, type Person, patient, world } from './support/api.ts'

/*
 * A list finds what the caller sees by another way than a single read does. Here everyone's every list is held against
 * what they can get one by one, in a house where each way of seeing a patient meets the others and a deletion.
 */

const { api, admin } = await world()

const ids = (): string[] => []
/** All that was ever made, by where one of it is read. */
const made = { patients: ids(), mappings: ids(), appointments: ids(), reports: ids() }
type Kind = keyof typeof made

const ok = async (answering: Promise<Answer>) => {
  const answer = await answering
  expect(answer.status, answer.text).toBeLessThan(300)
  return answer
}
const make = async (by: Person, kind: Kind, body: unknown, path = `/api/${kind}`) => {
  const { id } = await ok(by.post(path, body))
  made[kind].push(id)
  return id
}
const patch = (path: string, change: unknown) => ok(admin.patch(path, change))

/** An account of role doctor and its profile. */
async function newDoctor(name: string) {
  const account = await api.register(name)
  await patch(`/api/users/${account.id}`, { role: 'doctor' })
  const { id } = await ok(admin.post('/api/doctors', doctor({ name, userId: account.id })))
  return { account, id }
}

const treats = await newDoctor('Treats')
const alsoTreats = await newDoctor('Also Treats')
/** A doctor who is deleted in the end. */
const gone = await newDoctor('Gone')
/** A doctor whose account is a patient's in the end. */
const retired = await newDoctor('Retired')
const adds = await api.register('Adds')
const is = await api.register('Is')
/** Whose patient was deleted, and who is another one since. */
const isAgain = await api.register('Is Again')
const stranger = await api.register('Stranger')

let hours = 0
const appointment = (patientId: string, doctorId: string) => {
  hours += 1
  const at = (minutes: number) => new Date(Date.UTC(2099, 0, 1, hours, minutes)).toISOString()
  return { patientId, doctorId, startsAt: at(0), endsAt: at(30) }
}
const report = () => {
  const form = new FormData()
  form.append('title', 'Blood')
  form.append('kind', 'lab')
  form.append('file', new Blob(['fine']), 'blood.txt')
  return form
}

beforeAll(async () => {
  const teams = [[], [treats], [treats, gone], [alsoTreats, gone, retired]]
  const toDelete: string[] = []
  for (const [index, creator] of [admin, adds, treats.account, gone.account].entries())
    for (const [size, team] of teams.entries())
      for (const deleted of [false, true]) {
        const gender = (index + size) % 2 ? 'female' : 'male'
        const id = await make(creator, 'patients', patient({ name: `Zoë ${size}`, gender }))
        for (const { id: doctorId } of team) await make(admin, 'mappings', { patientId: id, doctorId })
        for (const { id: doctorId } of [alsoTreats, gone]) await make(admin, 'appointments', appointment(id, doctorId))
        await make(admin, 'reports', report(), `/api/patients/${id}/reports`)
        if (deleted) toDelete.push(id)
      }
  const [kept, deleted, another] = made.patients
  await patch(`/api/patients/${another}`, { userId: is.id })
  await patch(`/api/patients/${deleted}`, { userId: isAgain.id })
  // What is to come keeps its sides from being deleted.
  await api.db.execute(sql`update appointments set status = 'cancelled'
    where doctor_id = ${gone.id} or patient_id = any(${`{${toDelete}}`}::uuid[])`)
  for (const id of toDelete) await ok(admin.delete(`/api/patients/${id}`))
  await patch(`/api/patients/${kept}`, { userId: isAgain.id })
  await ok(admin.delete(`/api/doctors/${gone.id}`))
  await patch(`/api/doctors/${retired.id}`, { userId: null })
  await patch(`/api/users/${retired.account.id}`, { role: 'patient' })
}, 120_000)

const people: [name: string, person: Person, patients: number][] = [
  ['an administrator', admin, 16],
  ['a doctor', treats.account, 10],
  ['a doctor with appointments of others’ patients', alsoTreats.account, 4],
  ['a doctor who was deleted', gone.account, 4],
  ['who is a doctor no more', retired.account, 0],
  ['who adds patients', adds, 4],
  ['a patient', is, 1],
  ['a patient whose former record was deleted', isAgain, 1],
  ['a stranger', stranger, 0],
]

type Shown = { [field: string]: unknown; id: string }
const isShown = (value: unknown): value is Shown => typeof value === 'object' && value !== null && 'id' in value

/** What of one kind a person can get, one by one. */
async function got(person: Person, kind: Kind): Promise<Shown[]> {
  const answers: Answer[] = []
  for (const id of made[kind]) answers.push(await person.get(`/api/${kind}/${id}`))
  expect(answers.filter(({ status }) => status !== 200 && status !== 404)).toEqual([])
  return answers.map(({ body }) => body).filter((body) => isShown(body))
}

/** All pages of a list, which say how many there are. */
async function listed(person: Person, path: string): Promise<unknown[]> {
  const rows: unknown[] = []
  const counts = new Set<unknown>()
  const first = `${path}${path.includes('?') ? '&' : '?'}limit=3&count=true`
  for (let next: unknown = first; typeof next === 'string'; ) {
    const page: Answer = await ok(person.get(next))
    rows.push(...page.list())
    counts.add(page.at('count'))
    next = page.at('next')
  }
  expect([...counts]).toEqual([rows.length])
  return rows
}

const newestFirst = (rows: Shown[]) =>
  rows.toSorted((a, b) => `${b.createdAt}${b.id}`.localeCompare(`${a.createdAt}${a.id}`, 'en'))
const of = (field: string, value: string) => (row: Shown) => row[field] === value

describe.each(people)('%s', (_, person, patients) => {
  it('finds in each list what they can get, and nothing else', async () => {
    const all = {
      patients: newestFirst(await got(person, 'patients')),
      mappings: newestFirst(await got(person, 'mappings')),
      appointments: newestFirst(await got(person, 'appointments')),
      reports: newestFirst(await got(person, 'reports')),
    }
    expect(all.patients).toHaveLength(patients)
    const doctors = [treats.id, alsoTreats.id, gone.id, retired.id]
    const isTreatedBy = (id: string) => (row: Shown) =>
      all.mappings.some(({ patientId, doctorId }) => patientId === row.id && doctorId === id)
    const cases: [path: string, rows: Shown[]][] = [
      ['/api/patients', all.patients],
      ['/api/patients?gender=female', all.patients.filter(of('gender', 'female'))],
      ['/api/patients?q=zoe%202', all.patients.filter(of('name', 'Zoë 2'))],
      ['/api/mappings', all.mappings],
      ['/api/appointments', all.appointments],
      ['/api/appointments?status=scheduled', all.appointments.filter(of('status', 'scheduled'))],
      ['/api/appointments?from=2099-01-01T00:00:00Z', all.appointments],
      ...doctors.flatMap((id): [string, Shown[]][] => [
        [`/api/patients?doctorId=${id}`, all.patients.filter(isTreatedBy(id))],
        [`/api/mappings?doctorId=${id}`, all.mappings.filter(of('doctorId', id))],
        [`/api/appointments?doctorId=${id}`, all.appointments.filter(of('doctorId', id))],
      ]),
      ...made.patients.flatMap((id): [string, Shown[]][] => [
        [`/api/mappings?patientId=${id}`, all.mappings.filter(of('patientId', id))],
        [`/api/appointments?patientId=${id}`, all.appointments.filter(of('patientId', id))],
      ]),
      ...all.patients.map(({ id }): [string, Shown[]] => [
        `/api/patients/${id}/reports`,
        all.reports.filter(of('patientId', id)),
      ]),
    ]
    for (const [path, rows] of cases) expect(await listed(person, path), path).toEqual(rows)
    for (const sort of ['name', '-name', 'dateOfBirth', 'updatedAt', 'createdAt']) {
      const sorted = (await listed(person, `/api/patients?sort=${sort}`)).filter((row) => isShown(row))
      expect(newestFirst(sorted), sort).toEqual(all.patients)
    }
    for (const id of [treats.id, alsoTreats.id, retired.id])
      expect(await listed(person, `/api/doctors/${id}/patients`), id).toHaveLength(
        all.patients.filter(isTreatedBy(id)).length,
      )
  })
})
