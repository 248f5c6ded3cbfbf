import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import packageJson from '../package.json' with { type: 'json' }

const read = (file: string) => readFileSync(file, 'utf8')
const dockerfile = read('Dockerfile')
const compose = read('compose.yaml')
const guide = read('docs/deploy.md')

/** What one source imports when it runs: packages, files of its own, and what it looks up in a package. */
const importsOf = (source: string) =>
  [
    /^(?:import|export)\b(?! type\b)[^'"]*?from '([^']+)'/gm,
    /^import '([^']+)'/gm,
    /\bimport\('([^']+)'\)/g,
    /\bimport\.meta\.resolve\([`']([^`'$]+)/g,
  ].flatMap((pattern) => [...source.matchAll(pattern)].map(([, specifier = '']) => specifier))

/** Loaded only where there is no DATABASE_URL, which production demands. */
const developmentOnly = 'src/database/embedded/pglite.ts'

/** All files and packages that running `entries` may load in production. */
function reachedFrom(entries: string[]) {
  const files = new Set(entries)
  const packages = new Set<string>()
  for (const file of files) {
    if (!file.endsWith('.ts')) continue
    for (const specifier of importsOf(read(file))) {
      const target = join(dirname(file), specifier)
      if (!specifier.startsWith('.')) packages.add(specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/'))
      else if (target !== developmentOnly) files.add(target)
    }
  }
  return { files: [...files], packages: [...packages].filter((name) => !name.startsWith('node:')) }
}

const command = (script: keyof typeof packageJson.scripts) => packageJson.scripts[script].replace(/^exec /, '')
/** What runs in production: the server and the commands that docs/deploy.md and docs/operations.md name. */
const entries = ['start', 'db:migrate', 'create-admin', 'reports:sweep'] as const
const reached = reachedFrom(entries.flatMap((script) => command(script).match(/src\/\S+\.ts/g) ?? []))

const instructions = (name: string) =>
  [...dockerfile.matchAll(new RegExp(`^${name} (.*)$`, 'gm'))].map(([, rest = '']) => rest)
const copied = instructions('COPY')
  .filter((rest) => !rest.startsWith('--from'))
  .flatMap((rest) => rest.split(' ').slice(0, -1))

describe('A production install', () => {
  it('a production install loads no package that only development installs', () => {
    expect(reached.packages).toContain('postgres')
    expect(reached.packages.filter((name) => !(name in packageJson.dependencies))).toEqual([])
  })

  it('a production install finds in the image each file that it loads', () => {
    const inImage = (file: string) => copied.some((name) => file === name || file.startsWith(`${name}/`))
    expect(reached.files.length).toBeGreaterThan(50)
    expect(reached.files.filter((file) => !inImage(file))).toEqual([])
  })
})

describe('The Dockerfile', () => {
  it('the Dockerfile starts what npm start does, without a shell between, and not as root', () => {
    const [cmd = ''] = instructions('CMD')
    expect(JSON.parse(cmd)).toEqual(command('start').split(' '))
    expect(instructions('USER')).toEqual(['1000:1000'])
  })

  it('the Dockerfile takes the Node that the project is tested with', () => {
    const [major] = packageJson.devDependencies.node.split('.')
    expect(instructions('FROM').map((image) => /^node:(\d+)-/.exec(image)?.[1])).toEqual([major, major])
  })

  it('the Dockerfile copies exactly what .dockerignore lets through', () => {
    const allowed = [...read('.dockerignore').matchAll(/^!(.*)$/gm)].map(([, name]) => name)
    expect(read('.dockerignore')).toMatch(/^\*$/m)
    expect([...new Set(copied)].sort()).toEqual(allowed.sort())
  })
})

describe('compose.yaml', () => {
  it('compose.yaml migrates with what npm run db:migrate does', () => {
    const [, migration = ''] = /^ {4}command: \[(.*)\]$/m.exec(compose) ?? []
    expect(migration.split(', ').join(' ')).toBe(command('db:migrate'))
  })

  it('compose.yaml sets only settings that there are, and holds no secret', () => {
    const known = new Set(read('README.md').match(/`[A-Z0-9_]+`/g))
    const set = [...compose.matchAll(/^ +([A-Z0-9_]+): (.*)$/gm)].map(([, name = '', value = '']) => ({ name, value }))
    const settings = set.filter(({ name }) => !/^(POSTGRES|DATABASE|DATABASE_API)_PASSWORD$/.test(name))
    expect(settings.map(({ name }) => name).filter((name) => !known.has(`\`${name}\``))).toEqual([])
    const secrets = set.filter(({ name }) => /_PASSWORD$|^JWT_SECRET$/.test(name))
    expect(secrets.filter(({ name, value }) => !value.startsWith(`\${${name}:?`))).toEqual([])
    expect(secrets).toHaveLength(4)
  })
})

describe('docs/deploy.md', () => {
  it('the unit in docs/deploy.md starts what npm start does', () => {
    expect(guide).toContain(`ExecStart=/usr/bin/node ${command('start').replace(/^node /, '')}\n`)
  })
})

it('docs/deploy.md says how many migrations there are', () => {
  const { length } = globSync('drizzle/*.sql')
  expect(readFileSync('docs/deploy.md', 'utf8')).toContain(`Applied ${length} migrations to the database`)
})
