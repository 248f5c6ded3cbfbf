import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'

/** What differs from run to run: ids, moments and tokens. */
const masked = (text: string) =>
  text
    .trim()
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g, '<id>')
    .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, '<moment>')
    .replace(/eyJ[\w.…-]+/g, '<token>')

type Block = { language: string; text: string }

it('the README\u2019s walk through the API goes as it says', async () => {
  const readme = await readFile('README.md', 'utf8')
  const walk = readme.slice(readme.indexOf('Walk through it'), readme.indexOf('## What it does'))
  const blocks = [...walk.matchAll(/```(\w+)\n([\s\S]*?)```/g)].map(
    ([, language = '', text = '']): Block => ({ language, text }),
  )
  const commands = blocks.filter(({ language, text }) => language === 'sh' && !text.includes('npm '))
  const shown = blocks.filter(({ language }) => language !== 'sh')

  const folder = await mkdtemp(join(tmpdir(), 'hospital-readme-'))
  const server = spawn('node', ['src/runtime/node/main.ts'], {
    env: { ...process.env, PORT: '0', DATA_DIR: folder, NODE_ENV: 'development' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    let url: string | undefined
    for await (const line of createInterface({ input: server.stdout })) {
      url = /http:\/\/[\d.]+:\d+/.exec(line)?.[0]
      if (url) break
    }
    server.stdout.resume()
    // A mark between the commands tells their outputs apart.
    const mark = '=== next ==='
    const script = commands
      .map(({ text }) => `${text}\necho; echo '${mark}'`)
      .join('\n')
      .replaceAll('http://127.0.0.1:8000', url ?? '')
    const { stdout } = await promisify(execFile)('bash', ['-ec', script])
    const outputs = stdout.split(mark).map(masked).filter(Boolean)
    expect(outputs).toEqual(shown.map(({ text }) => masked(text)))
  } finally {
    server.kill('SIGTERM')
    await once(server, 'exit')
    await rm(folder, { recursive: true })
  }
})
