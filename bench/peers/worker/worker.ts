import postgres from 'postgres'
import { statements } from '../sql.ts'

/* The ceiling on Workers: postgres.js, one client a request, and nothing else. */

type Bindings = { HYPERDRIVE: { connectionString: string } }
type Context = { waitUntil(work: Promise<unknown>): void }

export default {
  async fetch(request: Request, { HYPERDRIVE }: Bindings, context: Context): Promise<Response> {
    const sql = postgres(HYPERDRIVE.connectionString, { max: 5, fetch_types: false })
    const id = new URL(request.url).pathname.slice('/api/patients/'.length)
    const [patient] = await sql.unsafe(statements.onePatient, [id], { prepare: true })
    context.waitUntil(sql.end())
    return Response.json(patient)
  },
}
