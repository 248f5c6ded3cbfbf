import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import packageJson from '../package.json' with { type: 'json' }

const read = (file: string) => readFileSync(file, 'utf8')
const guides = [
  'README.md',
  'CONTRIBUTING.md',
  'docs/clients.md',
  'docs/deploy.md',
  'docs/operations.md',
  'bench/README.md',
]

/** The anchors of a guide's headings, as GitHub makes them. */
const anchorsOf = (file: string) =>
  read(file)
    .replace(/^```[\s\S]*?^```/gm, '')
    .match(/^#+ .*/gm)
    ?.map((heading) =>
      heading
        .replace(/^#+ /, '')
        .toLowerCase()
        .replace(/[^\w\- ]/g, '')
        .replaceAll(' ', '-'),
    ) ?? []

describe.each(guides)('%s', (guide) => {
  it('every link leads to a file and a heading that exist', () => {
    const links = [...read(guide).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link)
    const dead = links.filter((link) => {
      if (/^https?:/.test(link)) return false
      const [path = '', anchor] = link.split('#')
      const file = path ? join(dirname(guide), path) : guide
      return !existsSync(file) || (anchor !== undefined && !anchorsOf(file).includes(anchor))
    })
    expect(dead).toEqual([])
  })

  it('every command and source that is named exists', () => {
    const text = read(guide)
    const scripts = [...text.matchAll(/\bnpm run ([\w:-]+)/g)].map(([, name = '']) => name)
    expect(scripts.filter((name) => !(name in packageJson.scripts))).toEqual([])
    const sources = [...text.matchAll(/`([\w./-]+\/[\w.-]+\.ts)`/g)].map(([, path = '']) => path)
    expect(
      sources.filter((path) => ![path, join('src', path), join(dirname(guide), path)].some((file) => existsSync(file))),
    ).toEqual([])
  })
})

it('the README has a row for each setting, and for no other', () => {
  const settings = [...read('src/config.ts').matchAll(/^ {2}([A-Z0-9_]+): /gm)].map(([, name = '']) => name)
  expect(settings).toContain('DATABASE_URL')
  const [, table = ''] = read('README.md').split('### Settings')
  const rows = [...table.matchAll(/^\| (`[A-Z].*?`) \|/gm)].flatMap(
    ([, names = '']) => names.match(/[A-Z0-9_]+/g) ?? [],
  )
  expect(rows.toSorted()).toEqual(settings.toSorted())
})
