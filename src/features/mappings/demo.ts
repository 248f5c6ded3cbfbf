import { type DemoRow, insertAudited } from '../../cli/demo/insert-audited.ts'
import type { DatabaseOrTransaction } from '../../context.ts'
import { newId } from '../../database/id.ts'
import { mappingAuditOptions } from './queries.ts'
import { mappings } from './schema.ts'

/** A made-up patient with their doctors, as places in the list of doctors: each from 0 up to 1. */
type TreatedDemoPatient = { id: string; createdAt: Date; treatedBy: number[] }

/** Each patient with each of their doctors once. */
function buildMappings(by: string, demo: TreatedDemoPatient[], doctorIds: string[]): DemoRow[] {
  const ofPatient = ({ id: patientId, createdAt, treatedBy }: TreatedDemoPatient) => {
    const chosen = new Set(treatedBy.map((place) => doctorIds[Math.floor(place * doctorIds.length)]))
    return [...chosen].map((doctorId) => ({ id: newId(), patientId, doctorId, createdBy: by, createdAt }))
  }
  return doctorIds.length === 0 ? [] : demo.flatMap(ofPatient)
}

/** Gives patients their doctors, by the account `by`. Tells how many mappings were new. */
export const insertDemoMappings = (
  db: DatabaseOrTransaction,
  by: string,
  demo: TreatedDemoPatient[],
  doctorIds: string[],
) => insertAudited(db, mappings, buildMappings(by, demo, doctorIds), by, mappingAuditOptions)
