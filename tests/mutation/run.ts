/**
 * Puts small wrongs into the source, one at a time, and runs the tests: each has to fail. Works on a copy, in a temporary
 * folder. `npm run test:mutation -- --most 100 --seed 7 --only src/access` runs some of them.
 */
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cpSync, globSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { equivalents } from './equivalents.ts'
import { type Mutant, mutantsOf, mutantsOfSql } from './operators.ts'

const { values } = parseArgs({
  options: { most: { type: 'string' }, seed: { type: 'string' }, only: { type: 'string' }, json: { type: 'string' } },
})

/** What is mutated: what decides who sees what, what is kept, and what is refused. */
const sources = [
  'src/access/*.ts',
  'src/auth/*.ts',
  'src/audit/*.ts',
  'src/idempotency/*.ts',
  'src/http/etag.ts',
  'src/http/page.ts',
  'src/*/*queries.ts',
]
const exempt = ['src/auth/common-passwords.ts', 'src/auth/passwords.worker.ts']
const migrations = ['drizzle/*audit_is_append_only.sql', 'drizzle/*appointments_cannot_collide.sql']

/** The tests that are tried first, and those that are tried where the first notice nothing. */
const quick = [
  ...['accounts', 'appointments', 'audit', 'audit-subject', 'calendar', 'doctors', 'etag', 'idempotency', 'lists'],
  ...['limits', 'mappings', 'patients', 'rate-limits', 'reports', 'scope', 'sessions', 'statements', 'throttle'],
].map((name) => `tests/${name}.test.ts`)
const thorough = ['tests/security.test.ts', 'tests/input.test.ts', 'tests/races']

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
function passes(files: string[]): boolean {
  const { status } = spawnSync('node_modules/.bin/vitest', ['run', '--bail=1', '--reporter=dot', ...files], {
    cwd: workspace,
    env: { TEST_DATABASE_URL: 'postgres://postgres@127.0.0.1:5432/test', ...process.env },
    stdio: 'ignore',
    timeout: 240_000,
    killSignal: 'SIGKILL',
  })
  return status === 0
}

const files = (patterns: string[]) =>
  patterns.flatMap((pattern) => globSync(pattern, { cwd: root })).filter((file) => !exempt.includes(file))
const read = (file: string) => readFileSync(join(root, file), 'utf8')
const rank = ({ file, line, before, after }: Mutant) =>
  createHash('sha256')
    .update(`${values.seed ?? 0} ${file} ${line} ${before} ${after}`)
    .digest('hex')
const all = [
  ...[...new Set(files(sources))].flatMap((file) => mutantsOf(file, read(file))),
  ...files(migrations).flatMap((file) => mutantsOfSql(file, read(file))),
].filter(({ file }) => file.startsWith(values.only ?? ''))
const chosen = all.toSorted((a, b) => (rank(a) < rank(b) ? -1 : 1)).slice(0, Number(values.most ?? all.length))

const reasonOf = ({ file, before, after }: Mutant) =>
  equivalents.find((known) => known.file === file && known.before === before.trim() && known.after === after.trim())
    ?.reason

process.stdout.write(`${chosen.length} of ${all.length} mutants.\n`)
if (!passes(quick)) throw new Error('the tests fail as they are')
const survivors: Mutant[] = []
for (const [index, mutant] of chosen.entries()) {
  const { file, line, before, after, text } = mutant
  if (reasonOf(mutant)) continue
  writeFileSync(join(workspace, file), text)
  const survived = passes(quick) && passes(thorough)
  cpSync(join(root, file), join(workspace, file))
  if (survived) survivors.push(mutant)
  const place = `${file}:${line}`
  process.stdout.write(
    `${index + 1} ${survived ? 'SURVIVED' : 'killed  '} ${place}  ${before.trim()} → ${after.trim()}\n`,
  )
}
rmSync(workspace, { recursive: true })

const explained = chosen.filter((mutant) => reasonOf(mutant)).length
const judged = chosen.length - explained
const killed = judged - survivors.length
process.stdout.write(
  `${killed} of ${judged} killed (${((100 * killed) / judged).toFixed(1)} %), ${explained} explained.\n`,
)
