import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { describe, expect, inject, it } from 'vitest'
import { password, patient } from '../support/api.ts'
import { copyOf } from '../support/database.ts'
import { ownFolder, Program, send, until } from '../support/program.ts'

const folder = await ownFolder()
const MiB = 1024 * 1024
const signal = () => AbortSignal.timeout(30_000)

/** A file of `size` bytes that begins as a PDF does. */
const pdf = (size: number) => {
  const bytes = new Uint8Array(size).map((_, i) => (i * 31) % 251)
  bytes.set(Buffer.from('%PDF-1.7\n'))
  return bytes
}
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')
const form = (file: Uint8Array<ArrayBuffer>, name = 'scan – größer.pdf') => {
  const made = new FormData()
  made.append('title', 'Scan')
  made.append('kind', 'imaging')
  made.append('file', new Blob([file]), name)
  return made
}

/** Someone signed in at a server, and a patient of theirs. */
async function scene(url: string) {
  const account = { name: 'Ada', email: `${crypto.randomUUID()}@example.org`, password }
  const token = (await send('POST', `${url}/api/auth/register`, account)).string('access')
  const { id } = await send('POST', `${url}/api/patients`, patient(), token)
  const headers = { Authorization: `Bearer ${token}` }
  const upload = (body: FormData) =>
    fetch(`${url}/api/patients/${id}/reports`, { method: 'POST', headers, body, signal: signal() })
  const made = async (file: Uint8Array<ArrayBuffer>) => {
    const response = await upload(form(file))
    const body: unknown = await response.json()
    if (response.status !== 201) throw new Error(JSON.stringify(body))
    return String(Reflect.get(Object(body), 'id'))
  }
  const content = (report: string, more: Record<string, string> = {}) =>
    fetch(`${url}/api/reports/${report}/content`, { headers: { ...headers, ...more }, signal: signal() })
  return { token, patient: id, headers, upload, made, content }
}

/** What every server does with files over the network, whatever keeps them. */
function handlesFiles(url: () => Promise<string>) {
  it.each([1, 6, 20])('takes %i MiB and gives them back, whole and in part', async (size) => {
    const { made, content } = await scene(await url())
    const file = pdf(size * MiB)
    const id = await made(file)
    const whole = await content(id)
    expect(whole.headers.get('Content-Length')).toBe(`${file.length}`)
    expect(whole.headers.get('Content-Disposition')).toContain(
      "filename*=UTF-8''scan%20%E2%80%93%20gr%C3%B6%C3%9Fer.pdf",
    )
    expect(sha256(new Uint8Array(await whole.arrayBuffer()))).toBe(sha256(file))
    const part = await content(id, { Range: 'bytes=500000-600000' })
    expect([part.status, part.headers.get('Content-Range')]).toEqual([206, `bytes 500000-600000/${file.length}`])
    expect(new Uint8Array(await part.arrayBuffer())).toEqual(file.subarray(500_000, 600_001))
  })

  it('refuses what is too large or of no type with an answer that arrives', async () => {
    const { upload, token, headers, patient: id } = await scene(await url())
    const statuses: number[] = []
    for (const file of [pdf(21 * MiB), pdf(20 * MiB + 1), new Uint8Array(15 * MiB)])
      statuses.push((await upload(form(file))).status)
    expect(statuses).toEqual([413, 413, 415])
    const elsewhere = `${await url()}/api/patients/${crypto.randomUUID()}/reports`
    const lost = await fetch(elsewhere, { method: 'POST', headers, body: form(pdf(20 * MiB)), signal: signal() })
    expect(lost.status).toBe(404)
    expect((await send('GET', `${await url()}/api/patients/${id}/reports`, undefined, token)).list()).toEqual([])
  })

  it('forgets a deleted one', async () => {
    const { made, content, headers } = await scene(await url())
    const id = await made(pdf(1000))
    const deleted = await fetch(`${await url()}/api/reports/${id}`, { method: 'DELETE', headers, signal: signal() })
    expect([deleted.status, (await content(id)).status]).toEqual([204, 404])
  })
}

describe('on Node', () => {
  const settings = { PORT: '0', DATA_DIR: join(folder, 'node'), LOG_LEVEL: 'warn' }
  const node = new Program('src/runtime/node/main.ts', settings)
  const address = () => node.said(/http:\/\/127\.0\.0\.1:\d+/)
  const kept = () => readdir(join(settings.DATA_DIR, 'reports'))

  handlesFiles(address)

  it('leaves nothing of an upload that is cut', async () => {
    const url = await address()
    const { token, patient: id } = await scene(url)
    const before = await kept()
    const socket = connect(Number(new URL(url).port), '127.0.0.1')
    await once(socket, 'connect')
    const head = '--x\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n%PDF-1.7\n'
    const headers = `Host: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: multipart/form-data; boundary=x`
    socket.write(`POST /api/patients/${id}/reports HTTP/1.1\r\n${headers}\r\nContent-Length: 1000000\r\n\r\n${head}`)
    socket.write('x'.repeat(300_000))
    await until('the file to be begun', async () => (await kept()).length > before.length)
    socket.destroy()
    await until('the file to be gone', async () => (await kept()).length === before.length)
    expect((await send('GET', `${url}/api/patients/${id}/reports`, undefined, token)).list()).toEqual([])
  })

  it('answers an upload that comes in drops', async () => {
    const url = await address()
    const { token, patient: id } = await scene(url)
    const fields =
      '--x\r\nContent-Disposition: form-data; name="title"\r\n\r\nt\r\n--x\r\nContent-Disposition: form-data; name="kind"\r\n\r\nlab\r\n'
    const body = `${fields}--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\ntext\r\n--x--\r\n`
    const headers = `Host: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: multipart/form-data; boundary=x`
    const socket = connect(Number(new URL(url).port), '127.0.0.1').setNoDelay()
    socket.write(`POST /api/patients/${id}/reports HTTP/1.1\r\n${headers}\r\nContent-Length: ${body.length}\r\n\r\n`)
    for (const byte of body) await new Promise((sent) => socket.write(byte, sent))
    const [answer] = await once(socket, 'data')
    expect(String(answer)).toMatch(/^HTTP\/1\.1 201 /)
    socket.destroy()
  })

  it('leaves what a crash left to npm run reports:sweep', async () => {
    await address()
    const stray = join(settings.DATA_DIR, 'reports', crypto.randomUUID())
    await writeFile(stray, 'x')
    const old = new Date(Date.now() - 2 * 60 * 60 * 1000)
    await utimes(stray, old, old)
    const before = (await kept()).length
    const sweep = new Program('src/cli/reports-sweep.ts', settings)
    expect([await sweep.exit(), sweep.output]).toEqual([0, expect.stringMatching(/^Removed 1 file without a report/)])
    expect((await kept()).length).toBe(before - 1)
    const again = new Program('src/cli/reports-sweep.ts', settings)
    expect([await again.exit(), again.output]).toEqual([0, expect.stringMatching(/^Nothing to do/)])
    node.kill()
    expect(await node.exit()).toBe(0)
  })
})

it.runIf(process.platform === 'linux')('Node keeps 20 MiB in neither direction in memory', async () => {
  // The database is in this process: embedded in that one, its memory would hide what files take.
  const database = await copyOf(inject('template'))
  const settings = { PORT: '0', DATA_DIR: join(folder, 'memory'), DATABASE_URL: database.url, LOG_LEVEL: 'warn' }
  const node = new Program('src/runtime/node/main.ts', settings)
  const { made, content } = await scene(await node.said(/http:\/\/127\.0\.0\.1:\d+/))
  /** A figure of Linux's about the process, in MiB (proc_pid_status(5)). */
  const memory = async (name: 'VmRSS' | 'VmHWM') => {
    const status = await readFile(`/proc/${node.pid}/status`, 'utf8')
    return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024
  }
  // Forgets the highest mark up to now.
  await writeFile(`/proc/${node.pid}/clear_refs`, '5')
  const before = await memory('VmRSS')
  expect((await (await content(await made(pdf(20 * MiB)))).arrayBuffer()).byteLength).toBe(20 * MiB)
  expect((await memory('VmHWM')) - before).toBeLessThan(40)
  node.kill()
  expect(await node.exit()).toBe(0)
  await database.stop()
})

describe('on workerd', () => {
  const worker = new Program('src/cli/dev-worker.ts', {
    PORT: '0',
    DATA_DIR: join(folder, 'worker'),
    LOG_LEVEL: 'warn',
  })
  const address = async () => (await worker.said(/Ready on http:\/\/127\.0\.0\.1:\d+/, 90)).replace('Ready on ', '')

  handlesFiles(address)

  it('stops in order', async () => {
    worker.kill()
    expect(await worker.exit()).toBe(0)
  })
})
