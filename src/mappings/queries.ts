import { and, count, eq, or, sql } from 'drizzle-orm'
import { v7 as uuid } from 'uuid'
import type { z } from 'zod'
import type { Caller } from '../access/can.ts'
import { isDoctor } from '../access/doctor.ts'
import { seesPatient } from '../access/patient.ts'
import type { Reach } from '../access/permissions.ts'
import { live, permitted, visible } from '../access/scope.ts'
import { signed, trail } from '../audit/record.ts'
import type { Db } from '../db/client.ts'
import { pages } from '../db/pages.ts'
import { prepared } from '../db/prepared.ts'
import { doctors, shownDoctor } from '../doctors/schema.ts'
import { type FieldError, Problem } from '../http/problem.ts'
import { patients, shownPatient } from '../patients/schema.ts'
import { mappings, type NewMapping, shownMapping } from './schema.ts'

const { placeholder } = sql
type Scope = { reach: Reach }

/** The mappings of patients that the caller sees. While either side is deleted, a mapping is not there. */
const seen = ({ reach }: Scope) => and(live(patients), live(doctors), visible(reach))
const ofPatient = eq(patients.id, mappings.patientId)
const ofDoctor = eq(doctors.id, mappings.doctorId)

type Filters = Scope & { patientId: boolean; doctorId: boolean; either: boolean }

const where = (filters: Filters) =>
  and(
    seen(filters),
    filters.patientId ? eq(mappings.patientId, placeholder('patientId')) : undefined,
    filters.doctorId ? eq(mappings.doctorId, placeholder('doctorId')) : undefined,
    filters.either
      ? or(eq(mappings.patientId, placeholder('either')), eq(mappings.id, placeholder('either')))
      : undefined,
  )

const counted = (db: Db, condition: ReturnType<typeof where>) =>
  db
    .select({ count: count() })
    .from(mappings)
    .innerJoin(patients, ofPatient)
    .innerJoin(doctors, ofDoctor)
    .where(condition)
    .prepare('mappings_count')

const mappingPages = pages({
  orders: { createdAt: { key: mappings.createdAt, type: 'timestamptz', id: mappings.id } },
  where,
  page: (db, { where, orderBy, place }) =>
    db
      .select({ ...shownMapping, ...place })
      .from(mappings)
      .innerJoin(patients, ofPatient)
      .innerJoin(doctors, ofDoctor)
      .where(where)
      .orderBy(...orderBy)
      .limit(placeholder('limit'))
      .prepare('mappings'),
  count: counted,
})

const oneMapping = prepared((db: Db, scope: Scope) =>
  db
    .select({ id: mappings.id })
    .from(mappings)
    .innerJoin(patients, ofPatient)
    .innerJoin(doctors, ofDoctor)
    .where(and(eq(mappings.id, placeholder('id')), seen(scope)))
    .prepare('mapping'),
)

/** @throws {Problem} 404 where the caller does not see the mapping */
export async function needMapping(db: Db, caller: Caller, id: string): Promise<void> {
  const [row] = await oneMapping(db, { reach: caller.reach }).execute({ me: caller.id, id })
  if (!row) throw new Problem('not-found')
}

type Wanted = { patientId?: string | undefined; doctorId?: string | undefined; either?: string | undefined }

/** The mappings that the caller sees, of a patient, of a doctor, or `either` the one of this id or those of the patient of this id. */
export const listMappings = (db: Db, caller: Caller, { patientId, doctorId, either }: Wanted) =>
  mappingPages(
    db,
    {
      reach: caller.reach,
      patientId: patientId !== undefined,
      doctorId: doctorId !== undefined,
      either: either !== undefined,
    },
    { me: caller.id, patientId, doctorId, either },
  )

/** The doctors of a patient that the caller sees. */
export const listDoctorsOf = (db: Db, caller: Caller, patientId: string) =>
  doctorsOf(db, { reach: caller.reach, patientId: true, doctorId: false, either: false }, { me: caller.id, patientId })

const doctorsOf = pages({
  orders: { createdAt: { key: mappings.createdAt, type: 'timestamptz', id: doctors.id } },
  where,
  page: (db, { where, orderBy, place }) =>
    db
      .select({ ...shownDoctor, ...place })
      .from(mappings)
      .innerJoin(patients, ofPatient)
      .innerJoin(doctors, ofDoctor)
      .where(where)
      .orderBy(...orderBy)
      .limit(placeholder('limit'))
      .prepare('doctors_of'),
  count: counted,
})

/** A doctor's patients, of those that the caller sees. */
export const listPatientsOf = (db: Db, caller: Caller, doctorId: string) =>
  patientsOf(db, { reach: caller.reach, patientId: false, doctorId: true, either: false }, { me: caller.id, doctorId })

const patientsOf = pages({
  orders: { createdAt: { key: mappings.createdAt, type: 'timestamptz', id: patients.id } },
  where,
  page: (db, { where, orderBy, place }) =>
    db
      .select({ ...shownPatient, ...place })
      .from(mappings)
      .innerJoin(patients, ofPatient)
      .innerJoin(doctors, ofDoctor)
      .where(where)
      .orderBy(...orderBy)
      .limit(placeholder('limit'))
      .prepare('patients_of'),
  count: counted,
})

const fields = { patientId: mappings.patientId, doctorId: mappings.doctorId }

const inserting = prepared((db: Db, { reach }: Scope) => {
  const made = db.$with('mappings', {}).as(sql`insert into ${mappings} (id, patient_id, doctor_id, created_by)
    select ${placeholder('id')}::uuid, ${patients.id}, ${doctors.id}, ${placeholder('me')}::uuid from ${patients}, ${doctors}
    where ${and(eq(patients.id, placeholder('patientId')), eq(doctors.id, placeholder('doctorId')), seen({ reach }), permitted(reach))}
    returning *`)
  const recording = trail(db, {
    resource: 'mapping',
    fields,
    changes: 'created',
    rows: sql`${mappings}`,
    resourceId: mappings.id,
    patientId: mappings.patientId,
  })
  return db
    .with(made, recording)
    .select(shownMapping)
    .from(mappings)
    .innerJoin(patients, ofPatient)
    .innerJoin(doctors, ofDoctor)
    .prepare('mapping_insert')
})

/** @throws {Problem} 400 on an unknown patient or doctor, 403 where the patient is not the caller's to map, 409 where they are mapped */
export async function createMapping(db: Db, caller: Caller, values: z.output<typeof NewMapping>) {
  const { reach } = caller
  const [mapping] = await inserting(db, { reach }).execute({ ...signed(caller, 201), ...values, id: uuid() })
  if (mapping) return mapping
  const [sight, doctor] = await Promise.all([seesPatient(db, caller, values.patientId), isDoctor(db, values.doctorId)])
  const errors: FieldError[] = []
  if (sight === 'unseen') errors.push({ path: 'patientId', message: 'is not a patient', code: 'unknown' })
  if (!doctor) errors.push({ path: 'doctorId', message: 'is not a doctor', code: 'unknown' })
  if (errors.length > 0) throw new Problem('bad-request', { errors })
  throw new Problem('forbidden', { detail: 'Only whoever added the patient may do this.' })
}

const deleting = prepared((db: Db, { reach }: Scope) => {
  const before = db.$with('before', {}).as(sql`select ${mappings}.* from ${mappings}
    join ${patients} on ${ofPatient} join ${doctors} on ${ofDoctor}
    where ${and(eq(mappings.id, placeholder('id')), seen({ reach }), permitted(reach))} for update of ${mappings}`)
  const gone = db.$with('gone', {}).as(sql`delete from ${mappings} using before where ${mappings.id} = before.id`)
  const recording = trail(db, {
    resource: 'mapping',
    fields,
    changes: 'deleted',
    rows: sql`before`,
    resourceId: sql`before.id`,
    patientId: sql`before.patient_id`,
  })
  return db
    .with(before, gone, recording)
    .select({ id: sql<string>`before.id` })
    .from(sql`before`)
    .prepare('mapping_delete')
})

/** Takes the doctor's access to the patient away. @throws {Problem} 404, 403 */
export async function deleteMapping(db: Db, caller: Caller, id: string): Promise<void> {
  const [deleted] = await deleting(db, { reach: caller.reach }).execute({ ...signed(caller, 204), id })
  if (deleted) return
  await needMapping(db, caller, id)
  throw new Problem('forbidden')
}
