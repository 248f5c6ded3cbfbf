import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isListening } from '../../src/runtime/node/startup.ts'
import { freePort } from './port.ts'
import { until } from './program.ts'

const executable = process.env.NGINX ?? '/usr/sbin/nginx'
/** Debian has it in its package `nginx-light`. */
export const hasNginx = existsSync(executable)

/** The configuration that docs/deploy.md shows, on `port` without TLS, before the API at `urls`. */
export function documentedNginx(port: number, urls: string[]): string {
  const [, example = ''] = /```nginx\n([\s\S]*?)```/.exec(readFileSync('docs/deploy.md', 'utf8')) ?? []
  const servers = [...example.matchAll(/127\.0\.0\.1:800\d/g)]
  if (servers.length !== urls.length) throw new Error(`docs/deploy.md shows ${servers.length} servers`)
  return example
    .replace('listen 443 ssl;', `listen 127.0.0.1:${port};`)
    .replace(/^ *ssl_.*\n/gm, '')
    .replace(/127\.0\.0\.1:800(\d)/g, (_, index) => new URL(urls[Number(index)] ?? '').host)
}

/** Runs nginx with the configuration that `make` gives for a port, until `stop`. */
export async function nginx(make: (port: number) => string): Promise<{ url: string; stop(): Promise<void> }> {
  const port = await freePort()
  const folder = await mkdtemp(join(tmpdir(), 'hospital-nginx-'))
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  )
  const lines = [
    'daemon off;',
    `pid ${folder}/pid;`,
    'error_log stderr;',
    'events {}',
    'http {',
    'access_log off;',
    ...temporary,
    make(port),
    '}',
  ]
  const file = join(folder, 'nginx.conf')
  await writeFile(file, lines.join('\n'))
  const child = spawn(executable, ['-e', 'stderr', '-c', file], { stdio: ['ignore', 'ignore', 'pipe'] })
  let output = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text
  })
  const ended = once(child, 'close')
  const stop = async () => {
    child.kill('SIGTERM')
    await ended
    await rm(folder, { recursive: true })
  }
  const ready = async () => child.exitCode !== null || (await isListening(`http://127.0.0.1:${port}`))
  await until('nginx to listen', ready, 20, () => output)
  if (child.exitCode !== null) throw new Error(`nginx did not start:\n${output}`)
  return { url: `http://127.0.0.1:${port}`, stop }
}
