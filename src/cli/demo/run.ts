import { eq } from 'drizzle-orm'
import { users } from '../../auth/schema.ts'
import type { Pool } from '../../db/client.ts'
import type { Files } from '../../reports/files.ts'
import { addAccount } from '../accounts.ts'
import { CommandError } from '../failure.ts'
import { doctorsOf, patientsOf } from './people.ts'
import { progress } from './progress.ts'
import { findAdmin, storeDoctors, storePatients, storeVisits } from './store.ts'

/** Of all demo accounts. Printed, and for trying out only. */
export const demoPassword = 'try the hospital'

const batch = 500
/** How many of the first doctors and patients have an account. */
const linked = { doctors: 3, patients: 2 }

export type Wanted = { patients: number; doctors: number; seed: number }
export type Account = { email: string; role: 'admin' | 'doctor' | 'patient' }
export type Made = Record<'doctors' | 'patients' | 'mappings' | 'appointments' | 'reports', number> & {
  accounts: Account[]
}

const take = <T>(from: Generator<T>, count: number): T[] => Array.from({ length: count }, () => from.next().value)

/** The account of a demo person, made where there is none of this address yet. */
async function accountOf(db: Pool, person: { name: string; email: string | null }, role: Account['role']) {
  if (!person.email) return null
  const { name, email } = person
  const id = await addAccount(db, 'db:seed', { name, email, role, password: demoPassword })
  if (id) return id
  const [there] = await db.select({ id: users.id, role: users.role }).from(users).where(eq(users.email, email))
  return there?.role === role ? there.id : null
}

const demoAdmin = { name: 'Demo Admin', email: 'admin@example.org' }

/** The administrator in whose name the demo is made; on a database without accounts a demo one. */
async function administrator(db: Pool, demo: Account[]): Promise<string> {
  const { admin, accounts } = await findAdmin(db)
  if (!admin && accounts)
    throw new CommandError(
      'There are accounts but no administrator to add the demo people: npm run create-admin first.',
    )
  const id = admin?.id ?? (await accountOf(db, demoAdmin, 'admin'))
  if (!id) throw new CommandError('Someone else is filling this database just now. Run the command again.')
  if (!admin || admin.email === demoAdmin.email) demo.push({ email: demoAdmin.email, role: 'admin' })
  return id
}

/** Adds the demo people of a seed that are not there yet. Every batch is whole, so that it can be stopped and run again. */
export async function addDemo(db: Pool, wanted: Wanted, files: Files | undefined): Promise<Made> {
  const accounts: Account[] = []
  const by = await administrator(db, accounts)

  const doctors = take(doctorsOf(wanted.seed), wanted.doctors)
  for (const doctor of doctors.slice(0, linked.doctors)) {
    doctor.userId = await accountOf(db, doctor, 'doctor')
    if (doctor.userId) accounts.push({ email: doctor.email, role: 'doctor' })
  }
  const doctorIds: string[] = []
  const made: Made = { doctors: 0, patients: 0, mappings: 0, appointments: 0, reports: 0, accounts }
  for (let first = 0; first < doctors.length; first += batch) {
    const stored = await storeDoctors(db, by, doctors.slice(first, first + batch))
    made.doctors += stored.made
    doctorIds.push(...stored.ids)
  }

  const people = patientsOf(wanted.seed)
  const bar = progress(wanted.patients)
  let unlinked = linked.patients
  for (let done = 0; done < wanted.patients; done += batch) {
    const patients = take(people, Math.min(batch, wanted.patients - done))
    for (const patient of patients) {
      if (unlinked === 0) break
      if (!patient.email) continue
      unlinked -= 1
      patient.userId = await accountOf(db, patient, 'patient')
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
