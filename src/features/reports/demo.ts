import { sql } from 'drizzle-orm'
import { type DemoRow, insertAudited } from '../../cli/demo/insert-audited.ts'
import type { DatabaseOrTransaction, FileStore } from '../../context.ts'
import { newId } from '../../database/id.ts'
import { type InspectedFile, inspectFile } from './file-inspection.ts'
import { reportAuditOptions } from './queries.ts'
import { reports } from './schema.ts'

type TreatedPatient = { patientId: string; patient: string; doctor: string; specialization: string }

/** Some patients of these doctors who have no report yet, each with one who treats them; none where a demo report is there. */
const findTreatedPatients = (db: Pick<DatabaseOrTransaction, 'execute'>, doctorIds: string[], maxCount: number) =>
  db.execute<TreatedPatient>(sql`
    select distinct on (patients.id) patients.id as "patientId", patients.name as patient, doctors.name as doctor, doctors.specialization
    from mappings join patients on patients.id = patient_id join doctors on doctors.id = doctor_id
    where doctor_id = any(${`{${doctorIds.join(',')}}`}::uuid[]) and patients.deleted_at is null
      and not exists (select from reports where filename = 'discharge-letter.txt')
    order by patients.id limit ${maxCount}`)

const writeDischargeLetter = ({ patient, doctor, specialization }: TreatedPatient) =>
  `Discharge letter\n\nPatient: ${patient}\nTreated by: ${doctor}, ${specialization}\n\nThe patient was discharged in good health.\n`

/** Adds reports with their files, which are kept in `files` before their rows are made. Tells how many there are. */
export async function insertDemoReports(
  db: DatabaseOrTransaction,
  files: FileStore,
  by: string,
  doctorIds: string[],
  maxCount = 20,
) {
  const rows: DemoRow[] = []
  for (const treated of await findTreatedPatients(db, doctorIds, maxCount)) {
    const id = newId()
    let content: InspectedFile | undefined
    const bytes = (async function* () {
      yield new TextEncoder().encode(writeDischargeLetter(treated))
    })()
    await files.put(
      id,
      inspectFile(bytes, (told) => {
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
  return insertAudited(db, reports, rows, by, reportAuditOptions)
}
