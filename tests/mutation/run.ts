/**
 * Puts small wrongs into the source, one at a time, and runs the tests: each has to fail. Works on a copy, in a temporary
 * folder. `npm run test:mutation -- --most 100 --seed 7 --only src/access` runs some of them. With `--results file.json` what
 * is found out is kept there, and a run that was cut off goes on; `--again` judges the survivors in it once more, with
 * `--thorough` by more tests. With `--quick` only the tests that are about a file are tried.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, existsSync, globSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { equivalents } from './equivalents.ts'
import { type Mutant, mutantsOf, mutantsOfSql } from './operators.ts'

const { values } = parseArgs({
  options: {
    most: { type: 'string' },
    seed: { type: 'string' },
    only: { type: 'string' },
    results: { type: 'string' },
    again: { type: 'boolean' },
    thorough: { type: 'boolean' },
    quick: { type: 'boolean' },
  },
})

/** What is mutated: what decides who sees what, what is kept, and what is refused. */
const sources = [
  'src/access/*.ts',
  'src/features/auth/*.ts',
  'src/audit/*.ts',
  'src/idempotency/*.ts',
  'src/http/etag.ts',
  'src/http/paging.ts',
  'src/database/errors.ts',
  'src/database/pool/transaction.ts',
  'src/features/*/*queries.ts',
]
const exempt = [
  'src/features/auth/common-passwords.ts',
  'src/features/auth/passwords.worker.ts',
  // tests/runtimes/worker.test.ts, which takes a minute and no server.
  'src/audit/unwritten-entries.worker.ts',
]
const migrations = ['drizzle/*audit_is_append_only.sql', 'drizzle/*appointments_cannot_collide.sql']

/** The tests that are tried first on a file of this name or in this folder: those that are about it. */
const first: [start: string, tests: string[]][] = [
  ['src/access/rate-limits', ['rate-limits', 'limits']],
  ['src/access/daily-limits', ['limits', 'races/limits']],
  ['src/access/can', ['audit', 'audit-subject', 'security']],
  [
    'src/access/permissions',
    ['security', 'sessions', 'scope', 'appointments', 'reports', 'calendar', 'patients', 'limits', 'openapi'],
  ],
  ['src/access/authenticate', ['sessions', 'rate-limits', 'security', 'statements', 'races/credentials']],
  ['src/access/tokens', ['sessions', 'security', 'accounts']],
  ['src/access/live-session', ['sessions', 'races/credentials', 'calendar']],
  ['src/access/visibility', ['scope', 'row-scope', 'calendar', 'appointments', 'reports', 'mappings', 'audit-subject']],
  ['src/access/doctor-access', ['calendar', 'doctors', 'security', 'appointments']],
  ['src/access', ['row-scope', 'scope', 'mappings', 'audit-subject', 'appointments', 'reports', 'security']],
  ['src/features/auth/throttle', ['throttle', 'races/sign-in']],
  ['src/features/auth/passwords', ['accounts', 'sessions', 'throttle', 'password-queue']],
  ['src/features/auth/user', ['accounts', 'sessions', 'races/races', 'etag']],
  [
    'src/features/auth',
    ['sessions', 'accounts', 'throttle', 'audit', 'calendar', 'races/sign-in', 'races/credentials', 'races/races'],
  ],
  ['src/audit/spool', ['races/failures']],
  ['src/audit/queries', ['audit', 'audit-subject', 'scope']],
  ['src/audit', ['audit', 'audit-subject', 'races/failures', 'races/races', 'faults/pool']],
  ['src/idempotency', ['idempotency', 'limits', 'races/idempotency', 'audit-subject']],
  ['src/http/etag', ['etag']],
  ['src/http/paging', ['lists', 'input']],
  ['src/database/errors', ['races/failures', 'faults/pool', 'appointments', 'doctors', 'idempotency']],
  ['src/database/pool/transaction', ['faults/pool', 'races/commit', 'races/lost', 'idempotency']],
  ['src/features/appointments', ['appointments', 'row-scope', 'races/booking', 'races/races', 'scope', 'etag']],
  ['src/features/calendar', ['calendar', 'limits', 'scope', 'etag', 'races/races']],
  ['src/features/doctors', ['doctors', 'etag', 'audit', 'lists', 'security']],
  ['src/features/mappings', ['mappings', 'row-scope', 'scope', 'audit-subject', 'etag']],
  ['src/features/patients', ['patients', 'scope', 'limits', 'etag', 'lists']],
  ['src/features/reports', ['reports', 'limits', 'files', 'etag', 'scope', 'audit-subject']],
  ['drizzle/0002', ['audit']],
  ['drizzle', ['appointments', 'patients', 'scope', 'races/booking']],
]
/** The tests that are tried where the first notice nothing; with `--thorough`, those that take longer as well. */
const others = [
  ...['patients', 'doctors', 'mappings', 'appointments', 'audit-subject', 'audit', 'etag', 'idempotency', 'lists'],
  ...['sessions', 'accounts', 'reports', 'calendar', 'statements', 'scope'],
  ...(values.thorough
    ? ['security', 'input', 'limits', 'throttle', 'races/races', 'races/sign-in', 'races/commit']
    : []),
]
const fileOf = (test: string) => `tests/${test}.test.ts`

const root = resolve(import.meta.dirname, '../..')
const workspace = mkdtempSync(join(tmpdir(), 'hospital-mutation-'))
for (const name of [
  'src',
  'tests',
  'drizzle',
  'docs',
  'bench',
  'deploy',
  '.ci',
  'package.json',
  'tsconfig.json',
  'vitest.config.ts',
  'README.md',
  'wrangler.toml',
  'Dockerfile',
  'compose.yaml',
])
  cpSync(join(root, name), join(workspace, name), { recursive: true })
symlinkSync(join(root, 'node_modules'), join(workspace, 'node_modules'))

/** Whether the tests of these files pass. A run that hangs has noticed something. */
function passes(tests: string[]): boolean {
  const { status } = spawnSync(
    'node_modules/.bin/vitest',
    ['run', '--bail=1', '--maxWorkers=1', '--reporter=dot', ...tests.map(fileOf)],
    {
      cwd: workspace,
      env: { TEST_DATABASE_URL: 'postgres://postgres@127.0.0.1:5432/test', ...process.env },
      stdio: 'ignore',
      timeout: 300_000,
      killSignal: 'SIGKILL',
    },
  )
  return status === 0
}

/** The tests to try on a file, those that are about it apart from the rest. */
function testsOf(file: string): [about: string[], rest: string[]] {
  const [, about = []] = first.find(([start]) => file.startsWith(start)) ?? []
  return [about, others.filter((test) => !about.includes(test))]
}

const isExempt = (file: string) => exempt.includes(file) || /\/(demo|openapi)\.ts$/.test(file)
const files = (patterns: string[]) =>
  patterns.flatMap((pattern) => globSync(pattern, { cwd: root })).filter((file) => !isExempt(file))
// From the copy: the tree itself may change meanwhile.
const read = (file: string) => readFileSync(join(workspace, file), 'utf8')
const keyOf = ({ file, line, before, after }: Mutant) => `${file}:${line} ${before.trim()} → ${after.trim()}`
const rank = (mutant: Mutant) =>
  createHash('sha256')
    .update(`${values.seed ?? 0} ${keyOf(mutant)}`)
    .digest('hex')
const all = [
  ...[...new Set(files(sources))].flatMap((file) => mutantsOf(file, read(file))),
  ...files(migrations).flatMap((file) => mutantsOfSql(file, read(file))),
].filter(({ file }) => file.startsWith(values.only ?? ''))
const chosen = all.toSorted((a, b) => (rank(a) < rank(b) ? -1 : 1)).slice(0, Number(values.most ?? all.length))

const reasonOf = ({ file, before, after }: Mutant) =>
  equivalents.find((known) => known.file === file && known.before === before.trim() && known.after === after.trim())
    ?.reason

type Verdict = 'killed' | 'survived'
const known: Record<string, Verdict> =
  values.results && existsSync(values.results) ? JSON.parse(readFileSync(values.results, 'utf8')) : {}

process.stdout.write(`${chosen.length} of ${all.length} mutants.\n`)
const verdicts = new Map<Mutant, Verdict | 'explained'>()
for (const [index, mutant] of chosen.entries()) {
  const { file, text } = mutant
  const key = keyOf(mutant)
  let verdict: Verdict | 'explained' | undefined = reasonOf(mutant) === undefined ? known[key] : 'explained'
  if (verdict === undefined || (verdict === 'survived' && values.again)) {
    const original = read(file)
    writeFileSync(join(workspace, file), text)
    const [about, rest] = testsOf(file)
    verdict = passes(about) && (values.quick || passes(rest)) ? 'survived' : 'killed'
    writeFileSync(join(workspace, file), original)
    known[key] = verdict
    if (values.results) writeFileSync(values.results, JSON.stringify(known, undefined, 1))
    process.stdout.write(`${index + 1} ${verdict} ${key}\n`)
  }
  verdicts.set(mutant, verdict)
}
// Else all would be killed by tests that fail as they are.
if (!others.every((test) => passes([test]))) throw new Error('the tests fail as they are')
rmSync(workspace, { recursive: true })

const folders = [...new Set(chosen.map(({ file }) => dirname(file)))].sort()
const row = (name: string, mutants: Mutant[]) => {
  const count = (verdict: string) => mutants.filter((mutant) => verdicts.get(mutant) === verdict).length
  const judged = mutants.length - count('explained')
  const share = ((100 * count('killed')) / Math.max(1, judged)).toFixed(1)
  return `| ${name} | ${judged} | ${count('killed')} | ${share} % | ${count('explained')} |\n`
}
process.stdout.write('\n| folder | judged | killed | | explained |\n|---|---|---|---|---|\n')
for (const folder of folders)
  process.stdout.write(
    row(
      folder,
      chosen.filter(({ file }) => dirname(file) === folder),
    ),
  )
process.stdout.write(row('all', chosen))
