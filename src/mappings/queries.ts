import { and, count, eq, or, sql } from 'drizzle-orm'
import type { PgColumn } from 'drizzle-orm/pg-core'
import type { z } from 'zod'
import type { Caller } from '../access/can.ts'
import { isDoctor } from '../access/doctor.ts'
import { seesPatient } from '../access/patient.ts'
import type { Reach } from '../access/permissions.ts'
import { listed, live, permitted, visible } from '../access/scope.ts'
import { removing } from '../audit/change.ts'
import { signed, trail } from '../audit/record.ts'
import type { Db } from '../db/client.ts'
import type { IdColumn } from '../db/columns.ts'
import { pages, preparedPage } from '../db/pages.ts'
import { prepared } from '../db/prepared.ts'
import { etagOf, matching } from '../db/write.ts'
import { preparedJson } from '../db/written.ts'
import { doctors, shownDoctor } from '../doctors/schema.ts'
import { type FieldError, Problem } from '../http/problem.ts'
import { newId } from '../id.ts'
import { patients, shownPatient } from '../patients/schema.ts'
import { mappings, type NewMapping, shownMapping } from './schema.ts'

const { placeholder } = sql
type Scope = { reach: Reach }

/** The mappings of patients that the caller sees. While either side is deleted, a mapping is not there. */
const seen = ({ reach }: Scope) => and(live(patients), live(doctors), visible(reach))
const etag = etagOf(patients, doctors)
const ofPatient = eq(patients.id, mappings.patientId)
const ofDoctor = eq(doctors.id, mappings.doctorId)

/** The filters of every list here: mappings of a patient, of a doctor, or `either` the one of this id or those of the patient of this id. */
type Wanted = { patientId?: string | undefined; doctorId?: string | undefined; either?: string | undefined }
type Filters = Scope & { [Name in keyof Wanted]-?: boolean }

/** Where the mappings are of one patient, it is simpler to ask whether the caller sees that one than whom they see. */
const scope = ({ reach, patientId, either }: Filters) =>
  patientId || either ? visible(reach) : listed(reach, mappings.patientId)

const [isTheirs, isIt] = [eq(mappings.patientId, placeholder('either')), eq(mappings.id, placeholder('either'))]
/** Looked up first: where either of two columns may be meant, PostgreSQL likes to go through a small table. */
const patientOfEither = sql`coalesce((select ${mappings.patientId} from ${mappings} where ${isIt}), ${placeholder('either')})`

const where = (filters: Filters) =>
  and(
    live(patients),
    live(doctors),
    filters.patientId ? eq(mappings.patientId, placeholder('patientId')) : undefined,
    filters.doctorId ? eq(mappings.doctorId, placeholder('doctorId')) : undefined,
    filters.either ? and(eq(mappings.patientId, patientOfEither), or(isTheirs, isIt)) : undefined,
  )

/** Mappings, newest first, each shown as `shown`: the mapping itself, or the one of its sides whose id is `id`. */
function joined<Shown extends Record<string, PgColumn | Record<string, PgColumn>>>(shown: Shown, id: IdColumn) {
  const listing = pages({
    orders: { createdAt: { key: mappings.createdAt, type: 'timestamptz', id } },
    scope,
    where,
    page: (db, parts) =>
      preparedPage(db, 'mappings', parts, { shown, kept: { id, patientId: mappings.patientId, etag } }, (fields) =>
        db.select(fields).from(mappings).innerJoin(patients, ofPatient).innerJoin(doctors, ofDoctor),
      ),
    count: (db, where) =>
      db
        .select({ count: count() })
        .from(mappings)
        .innerJoin(patients, ofPatient)
        .innerJoin(doctors, ofDoctor)
        .where(where)
        .prepare('mappings_count'),
  })
  return (db: Db, { id: me, reach }: Caller, { patientId, doctorId, either }: Wanted) => {
    const given = { patientId: patientId !== undefined, doctorId: doctorId !== undefined, either: either !== undefined }
    return listing(db, { reach, ...given }, { me, patientId, doctorId, either })
  }
}

/** The mappings that the caller sees. */
export const listMappings = joined(shownMapping, mappings.id)
/** The doctors of the mappings that the caller sees. */
export const listMappedDoctors = joined(shownDoctor, doctors.id)
/** The patients of the mappings that the caller sees. */
export const listMappedPatients = joined(shownPatient, patients.id)

const oneMapping = prepared((db: Db, { reach }: Scope) =>
  db
    .select({ permitted: sql<boolean>`${permitted(reach) ?? sql`true`}` })
    .from(mappings)
    .innerJoin(patients, ofPatient)
    .innerJoin(doctors, ofDoctor)
    .where(and(eq(mappings.id, placeholder('id')), seen({ reach })))
    .prepare('mapping'),
)

/** Whether what the caller asks for reaches the mapping. @throws {Problem} 404 where they do not see it */
export async function needMapping(db: Db, caller: Caller, id: string): Promise<boolean> {
  const [row] = await oneMapping(db, { reach: caller.reach }).execute({ me: caller.id, id })
  if (!row) throw new Problem('not-found')
  return row.permitted
}

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
  return preparedJson(db, 'mapping_insert', { shown: shownMapping, kept: { id: mappings.id, etag } }, (fields) =>
    db.with(made, recording).select(fields).from(mappings).innerJoin(patients, ofPatient).innerJoin(doctors, ofDoctor),
  )
})

/** @throws {Problem} 400 on an unknown patient or doctor, 403 where the patient is not the caller's to map, 409 where they are mapped */
export async function createMapping(db: Db, caller: Caller, values: z.output<typeof NewMapping>) {
  const { reach } = caller
  const [mapping] = await inserting(db, { reach }).execute({ ...signed(caller, 201), ...values, id: newId() })
  if (mapping) return mapping
  const [sight, doctor] = await Promise.all([seesPatient(db, caller, values.patientId), isDoctor(db, values.doctorId)])
  const errors: FieldError[] = []
  if (sight === 'unseen') errors.push({ path: 'patientId', message: 'is not a patient', code: 'unknown' })
  if (!doctor) errors.push({ path: 'doctorId', message: 'is not a doctor', code: 'unknown' })
  if (errors.length > 0) throw new Problem('bad-request', { errors })
  throw new Problem('forbidden', { detail: 'Only whoever added the patient may do this.' })
}

const remove = removing(mappings, {
  resource: 'mapping',
  fields,
  from: sql`${mappings} join ${patients} on ${ofPatient} join ${doctors} on ${ofDoctor}`,
  deletable: ({ reach }: Scope) =>
    and(eq(mappings.id, placeholder('id')), seen({ reach }), permitted(reach), matching(etag)),
})

/** Takes the doctor's access to the patient away. @throws {Problem} 404, 403, 412 */
export async function deleteMapping(db: Db, caller: Caller, id: string): Promise<void> {
  if (await remove(db, caller, { reach: caller.reach }, id)) return
  const permitted = await needMapping(db, caller, id)
  throw new Problem(permitted ? 'precondition-failed' : 'forbidden')
}
