import { type SQL, sql } from 'drizzle-orm'
import { appointments } from '../features/appointments/schema.ts'
import { mappings } from '../features/mappings/schema.ts'
import { patients } from '../features/patients/schema.ts'
import { reports } from '../features/reports/schema.ts'

/** The patient whose data the record with this id is, of whatever kind it is: UUIDs do not collide. Null where it is no patient's. */
export const patientIdOfRecordSql = (id: SQL): SQL =>
  sql`(select ${patients.id} from ${patients} where ${patients.id} = ${id}
    union all select ${mappings.patientId} from ${mappings} where ${mappings.id} = ${id}
    union all select ${appointments.patientId} from ${appointments} where ${appointments.id} = ${id}
    union all select ${reports.patientId} from ${reports} where ${reports.id} = ${id} limit 1)`
