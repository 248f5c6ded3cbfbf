import { sql } from 'drizzle-orm'
import type { Db } from '../../db/client.ts'
import { newId } from '../../id.ts'
import { type Content, inspected } from '../../reports/content.ts'
import type { Files } from '../../reports/files.ts'

type Treated = { patientId: string; patient: string; doctor: string; specialization: string }

/** Some patients of these doctors who have no report yet, each with one who treats them; none where a demo report is there. */
const treatedBy = (db: Pick<Db, 'execute'>, doctorIds: string[], most: number) =>
  db.execute<Treated>(sql`
    select distinct on (patients.id) patients.id as "patientId", patients.name as patient, doctors.name as doctor, doctors.specialization
    from mappings join patients on patients.id = patient_id join doctors on doctors.id = doctor_id
    where doctor_id = any(${`{${doctorIds.join(',')}}`}::uuid[]) and patients.deleted_at is null
      and not exists (select from reports where filename = 'discharge-letter.txt')
    order by patients.id limit ${most}`)

const letter = ({ patient, doctor, specialization }: Treated) =>
  `Discharge letter\n\nPatient: ${patient}\nTreated by: ${doctor}, ${specialization}\n\nThe patient was discharged in good health.\n`

/** Reports with their files, which are kept before their rows are made. */
export async function reportsOf(db: Pick<Db, 'execute'>, files: Files, by: string, doctorIds: string[], most = 20) {
  const rows: ({ id: string; patientId: string } & Record<string, unknown>)[] = []
  for (const treated of await treatedBy(db, doctorIds, most)) {
    const id = newId()
    let content: Content | undefined
    const bytes = (async function* () {
      yield new TextEncoder().encode(letter(treated))
    })()
    await files.put(
      id,
      inspected(bytes, (told) => {
        content = told
      }),
    )
    const title = `Discharge letter, ${treated.specialization}`
    const { patientId } = treated
    rows.push({
      id,
      patientId,
      appointmentId: null,
      title,
      kind: 'discharge',
      filename: 'discharge-letter.txt',
      ...content,
      uploadedBy: by,
      createdAt: new Date(),
    })
  }
  return rows
}
