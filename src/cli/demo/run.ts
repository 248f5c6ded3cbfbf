import { eq } from 'drizzle-orm'
import type { Database, FileStore } from '../../context.ts'
import { users } from '../../features/auth/schema.ts'
import { addAccount } from '../accounts.ts'
import { CommandError } from '../command-error.ts'
import { generateDoctors, generatePatients } from './people.ts'
import { createProgressBar } from './progress.ts'
import { findAdmin, storeDoctors, storePatients, storeVisits } from './store.ts'

/** Of all demo accounts. Printed, and for trying out only. */
export const demoPassword = 'try the hospital'

const batchRowCount = 500
/** How many of the first doctors and patients have an account. */
const linkedAccountCounts = { doctors: 3, patients: 2 }

/** How much is made up. */
export type DemoOptions = { patients: number; doctors: number; seed: number }
/** An account with which one can sign in to look at made-up data. */
export type DemoAccount = { email: string; role: 'admin' | 'doctor' | 'patient' }
/** What was made up. */
export type DemoSummary = Record<'doctors' | 'patients' | 'mappings' | 'appointments' | 'reports', number> & {
  accounts: DemoAccount[]
}

const takeFrom = <T>(from: Generator<T>, count: number): T[] => Array.from({ length: count }, () => from.next().value)

/** The account of a demo person, made where there is none of this address yet. */
async function ensureDemoAccount(
  db: Database,
  person: { name: string; email: string | null },
  role: DemoAccount['role'],
) {
  if (!person.email) return null
  const { name, email } = person
  const id = await addAccount(db, 'db:seed', { name, email, role, password: demoPassword })
  if (id) return id
  const [there] = await db.select({ id: users.id, role: users.role }).from(users).where(eq(users.email, email))
  return there?.role === role ? there.id : null
}

const demoAdmin = { name: 'Demo Admin', email: 'admin@example.org' }

/** The administrator in whose name the demo is made; on a database without accounts a demo one. */
async function findOrCreateAdmin(db: Database, demo: DemoAccount[]): Promise<string> {
  const { admin, accounts } = await findAdmin(db)
  if (!admin && accounts)
    throw new CommandError(
      'There are accounts but no administrator to add the demo people: npm run create-admin first.',
    )
  const id = admin?.id ?? (await ensureDemoAccount(db, demoAdmin, 'admin'))
  if (!id) throw new CommandError('Someone else is filling this database just now. Run the command again.')
  if (!admin || admin.email === demoAdmin.email) demo.push({ email: demoAdmin.email, role: 'admin' })
  return id
}

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
  const made: DemoSummary = { doctors: 0, patients: 0, mappings: 0, appointments: 0, reports: 0, accounts }
  for (let first = 0; first < doctors.length; first += batchRowCount) {
    const stored = await storeDoctors(db, by, doctors.slice(first, first + batchRowCount))
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
    const stored = await storePatients(db, by, patients, doctorIds)
    made.patients += stored.made
    made.mappings += stored.mapped
    bar.step(patients.length)
  }
  bar.stop()
  const { booked, filed } = await storeVisits(db, by, doctorIds, files)
  return { ...made, appointments: booked, reports: filed }
}
