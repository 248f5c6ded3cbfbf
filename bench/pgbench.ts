import { execFile } from 'node:child_process'
import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { mappedEvery, type Size, sizes } from './data.ts'
import { statements } from './peers/sql.ts'

const run = promisify(execFile)

type Script = { statement: string; parameters: string[]; step?: number }

const patientOf = `('01900000-0000-7000-8000-' || lpad(to_hex(:n::bigint), 12, '0'))::uuid`
const newId = 'gen_random_uuid()'
const staff = `'01900000-0000-7000-8001-000000000001'::uuid`

/** The cases that are one statement, and what stands for its parameters. */
const scripts: Record<string, Script> = {
  get: { statement: statements.onePatient, parameters: [patientOf] },
  list: { statement: statements.firstPatients, parameters: ['51'] },
  search: { statement: statements.foundPatients, parameters: ['51', "'ann'"] },
  mappings: { statement: statements.mappingsOfPatient, parameters: [patientOf, '51'], step: mappedEvery },
  create: {
    statement: statements.insertBoth,
    parameters: [
      ...[newId, "'Zoë Zimmer ' || :n", "'1984-02-29'", "'female'", "'+4930901820'", "'zoe.zimmer@example.org'"],
      ...["'12 Oak Street, Berlin'", "'A+'", `'["Penicillin"]'`, "'Appendectomy (2004).'", staff, newId],
      ...["'127.0.0.1'", newId, `'{"name": {"before": null, "after": "Zoë Zimmer"}}'`],
    ],
  },
}

/**
 * Transactions a second of pgbench with a case's statement, prepared, on as many connections as a pool has: what the
 * database can do. Undefined where the case is not one statement, or pgbench is not installed.
 */
export async function pgbench(name: string, database: string, size: Size, seconds: number) {
  const script = scripts[name]
  if (!script) return undefined
  const { statement, parameters, step = 1 } = script
  const filled = statement.replace(/\$(\d+)/g, (_, place) => parameters[Number(place) - 1] ?? '')
  const file = join(await mkdtemp(join(tmpdir(), 'hospital-bench-')), `${name}.sql`)
  await writeFile(file, `\\set n random(1, ${sizes[size] / step}) * ${step}\n${filled};\n`)
  const options = ['-n', '-M', 'prepared', '-c', '10', '-j', '1', '-T', `${seconds}`, '-f', file]
  const told = await run('pgbench', [...options, database]).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (!told) return undefined
  const [, perSecond] = /tps = ([\d.]+)/.exec(told.stdout) ?? []
  return Number(perSecond)
}
