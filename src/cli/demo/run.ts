import type { Database, FileStore } from '../../context.ts'
import { insertDemoAppointments } from '../../features/appointments/demo.ts'
import { type DemoAccount, demoPassword, ensureDemoAccount, findOrCreateAdmin } from '../../features/auth/demo.ts'
import { generateDoctors, insertDemoDoctors } from '../../features/doctors/demo.ts'
import { insertDemoMappings } from '../../features/mappings/demo.ts'
import { generatePatients, insertDemoPatients } from '../../features/patients/demo.ts'
import { insertDemoReports } from '../../features/reports/demo.ts'
import { createProgressBar } from './progress.ts'

const batchRowCount = 500
/** How many of the first doctors and patients have an account. */
const linkedAccountCounts = { doctors: 3, patients: 2 }

/** How much is made up. */
export type DemoOptions = { patients: number; doctors: number; seed: number }
/** What was made up. */
export type DemoSummary = Record<'doctors' | 'patients' | 'mappings' | 'appointments' | 'reports', number> & {
  accounts: DemoAccount[]
  password: string
}

const takeFrom = <T>(from: Generator<T>, count: number): T[] => Array.from({ length: count }, () => from.next().value)

/** Adds the demo people of a seed that are not there yet. Every batch is whole, so that it can be stopped and run again. */
export async function addDemoData(
  db: Database,
  wanted: DemoOptions,
  files: FileStore | undefined,
): Promise<DemoSummary> {
  const accounts: DemoAccount[] = []
  const by = await findOrCreateAdmin(db, accounts)

  const doctors = takeFrom(generateDoctors(wanted.seed), wanted.doctors)
  for (const doctor of doctors.slice(0, linkedAccountCounts.doctors)) {
    doctor.userId = await ensureDemoAccount(db, doctor, 'doctor')
    if (doctor.userId) accounts.push({ email: doctor.email, role: 'doctor' })
  }
  const doctorIds: string[] = []
  const made: DemoSummary = {
    doctors: 0,
    patients: 0,
    mappings: 0,
    appointments: 0,
    reports: 0,
    accounts,
    password: demoPassword,
  }
  for (let first = 0; first < doctors.length; first += batchRowCount) {
    const batch = doctors.slice(first, first + batchRowCount)
    const stored = await db.transaction((tx) => insertDemoDoctors(tx, by, batch))
    made.doctors += stored.made
    doctorIds.push(...stored.ids)
  }

  const people = generatePatients(wanted.seed)
  const bar = createProgressBar(wanted.patients)
  let unlinked = linkedAccountCounts.patients
  for (let done = 0; done < wanted.patients; done += batchRowCount) {
    const patients = takeFrom(people, Math.min(batchRowCount, wanted.patients - done))
    for (const patient of patients) {
      if (unlinked === 0) break
      if (!patient.email) continue
      unlinked -= 1
      patient.userId = await ensureDemoAccount(db, patient, 'patient')
      if (patient.userId) accounts.push({ email: patient.email, role: 'patient' })
    }
    await db.transaction(async (tx) => {
      made.patients += await insertDemoPatients(tx, by, patients)
      made.mappings += await insertDemoMappings(tx, by, patients, doctorIds)
    })
    bar.step(patients.length)
  }
  bar.stop()
  await db.transaction(async (tx) => {
    made.appointments = await insertDemoAppointments(tx, by, doctorIds)
    made.reports = files ? await insertDemoReports(tx, files, by, doctorIds) : 0
  })
  return made
}
