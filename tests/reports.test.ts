import { createHash } from 'node:crypto'
import { readdir, rename, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'content-disposition'
import { sql } from 'drizzle-orm'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { app } from '../src/app.ts'
import type { FileStore } from '../src/context.ts'
import { createFolderFileStore } from '../src/features/reports/file-store.folder.ts'
import { FileStoreProblem, withFailureListener } from '../src/features/reports/file-store.ts'
import { parseRange } from '../src/http/range.ts'
import { findStrayFiles } from '../src/jobs/sweep-report-files.ts'
import { type Answer, doctor, type Options, type Person, patient, world } from './support/api.ts'
import { expectProblem } from './wellformed.ts'

const { api, admin } = await world()
const absent = '01890000-0000-7000-8000-000000000000'
const MiB = 1024 * 1024

const bytes = (...parts: (string | number[])[]) =>
  new Uint8Array(parts.flatMap((part) => (typeof part === 'string' ? [...Buffer.from(part, 'latin1')] : part)))
const pdf = bytes('%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n')
const png = bytes('\x89PNG\r\n\x1a\n\0\0\0\rIHDR')
const jpeg = bytes('\xff\xd8\xff\xe0\0\x10JFIF\0')
const dicom = bytes('\0'.repeat(128), 'DICM\x02\0')
const exe = bytes('MZ\x90\0\x03\0\0\0')
const zip = bytes('PK\x03\x04\x14\0\0\0')

type Field = string | { bytes: Uint8Array<ArrayBuffer>; name?: string; type?: string }
/** A form as a browser sends it; a field without a value is left out. */
function form(fields: Record<string, Field | undefined>): FormData {
  const made = new FormData()
  for (const [name, field] of Object.entries(fields)) {
    if (typeof field === 'string') made.append(name, field)
    else if (field) made.append(name, new Blob([field.bytes], { type: field.type ?? '' }), field.name ?? 'report.pdf')
  }
  return made
}
const good = (more: Record<string, Field | undefined> = {}) =>
  form({ title: 'Blood count', kind: 'lab', file: { bytes: pdf }, ...more })

const addPatient = async (by: Person = admin) => (await by.post('/api/patients', patient())).id
const somebody = await addPatient()
const upload = (body: FormData, patientId = somebody, by: Person = admin) =>
  by.post(`/api/patients/${patientId}/reports`, body)

/** A form byte by byte, for what no browser sends. */
const boundary = '----test'
const raw = (...parts: [headers: string, value: string | Uint8Array][]) =>
  Buffer.concat([
    ...parts.flatMap(([headers, value]) => [
      Buffer.from(`--${boundary}\r\n${headers}\r\n\r\n`),
      Buffer.from(value),
      Buffer.from('\r\n'),
    ]),
    Buffer.from(`--${boundary}--\r\n`),
  ])
const named = (name: string, more = '') => `Content-Disposition: form-data; name="${name}"${more}`
const multipart = { 'Content-Type': `multipart/form-data; boundary=${boundary}` }
const uploadRaw = (body: Uint8Array, patientId = somebody, headers: Record<string, string> = multipart) =>
  admin.post(`/api/patients/${patientId}/reports`, body, headers)

/** Uploads a body as it comes. */
async function stream(body: ReadableStream<Uint8Array>): Promise<Response> {
  const headers = { ...multipart, Authorization: `Bearer ${admin.access}` }
  const init = { method: 'POST', headers, body, duplex: 'half' }
  return app.fetch(new Request(`http://hospital.test/api/patients/${somebody}/reports`, init), api.env)
}

/** A body in these chunks. */
const chunked = (chunks: Uint8Array[]) =>
  new ReadableStream<Uint8Array>({
    start(controller) {
      for (const chunk of chunks) if (chunk.length > 0) controller.enqueue(chunk)
      controller.close()
    },
  })

/** A download, byte by byte. */
async function download(id: string, { token = admin.access, headers = {} }: Options = {}, method = 'GET') {
  const request = new Request(`http://hospital.test/api/reports/${id}/content`, {
    method,
    headers: { Authorization: `Bearer ${token}`, ...headers },
  })
  const response = await app.fetch(request, api.env)
  return { status: response.status, headers: response.headers, bytes: new Uint8Array(await response.arrayBuffer()) }
}

const sha256 = (of: Uint8Array) => createHash('sha256').update(of).digest('hex')
const kept = () => readdir(api.folder)
/** Expects what `work` leaves to be nothing: no row, no file, no half of one. */
async function leavesNothing<T>(work: () => Promise<T>): Promise<T> {
  const rows = () => api.db.execute(sql`select count(*) from reports`)
  const [files, before] = [await kept(), await rows()]
  const result = await work()
  expect([await kept(), await rows()]).toEqual([files, before])
  return result
}

describe('an upload', () => {
  it('answers 201 with what is known of the file, which then stands at its Location, and gives its bytes back', async () => {
    const created = await upload(good({ file: { bytes: pdf, name: 'blood count.pdf', type: 'text/html' } }))
    expect(created.status).toBe(201)
    expect(created.body).toEqual({
      id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/),
      patientId: somebody,
      appointmentId: null,
      title: 'Blood count',
      kind: 'lab',
      filename: 'blood count.pdf',
      contentType: 'application/pdf',
      size: pdf.length,
      sha256: sha256(pdf),
      uploadedBy: admin.id,
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    })
    expect(created.headers.get('Location')).toBe(`/api/reports/${created.id}`)
    expect((await admin.get(`/api/reports/${created.id}`)).body).toEqual(created.body)
    const content = await download(created.id)
    expect([content.status, content.bytes]).toEqual([200, pdf])
    expect(await kept()).toContain(created.id)
  })

  it.each<[string, Uint8Array<ArrayBuffer>]>([
    ['application/pdf', pdf],
    ['image/png', png],
    ['image/jpeg', jpeg],
    ['application/dicom', dicom],
    ['application/dicom', bytes('II*\0', 'x'.repeat(124), 'DICM')],
    ['image/webp', bytes('RIFF\x24\0\0\0WEBPVP8 ')],
    ['image/gif', bytes('GIF89a\x01\0\x01\0\x80')],
    ['image/gif', bytes('GIF87a\x01\0\x01\0\x80')],
    ['image/tiff', bytes('II*\0\x08\0\0\0')],
    ['image/tiff', bytes('MM\0*\0\0\0\x08')],
    ['image/tiff', bytes('II+\0\x08\0\0\0')],
    ['image/heic', bytes('\0\0\0\x18ftypheic\0\0\0\0mif1heic')],
    ['image/heic-sequence', bytes('\0\0\0\x18ftyphevc\0\0\0\0msf1hevc')],
    ['image/heif', bytes('\0\0\0\x18ftypmif1\0\0\0\0mif1heic')],
    ['image/heif-sequence', bytes('\0\0\0\x18ftypmsf1\0\0\0\0msf1hevc')],
    ['text/plain', bytes('GIF is how it begins, RIFF, and II*')],
    ['text/plain', bytes('Grüße')],
    ['text/plain', bytes('a')],
    ['text/plain', new Uint8Array(Buffer.from('Befund: alles gut 😀\n'.repeat(20_000)))],
    ['text/plain', new Uint8Array(Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"><script/></svg>'))],
    ['text/plain', new Uint8Array(Buffer.from('<!doctype html>'))],
    ['text/plain', new Uint8Array(Buffer.from('\ufeffwith a mark'))],
  ])('is known by its bytes to be %s', async (type, file) => {
    const text = type === 'text/plain' ? new Uint8Array(Buffer.from(Buffer.from(file).toString('utf8'))) : file
    const created = await upload(good({ file: { bytes: text, name: 'x.exe', type: 'application/zip' } }))
    expect([created.status, created.at('contentType'), created.at('size')]).toEqual([201, type, text.length])
    expect((await download(created.id)).bytes).toEqual(text)
  })

  it.each<[string, Uint8Array<ArrayBuffer>]>([
    ['a program', exe],
    ['an archive', zip],
    ['a program in front of a DICOM file', bytes('MZ', '\0'.repeat(126), 'DICM')],
    ['what begins like a PDF later', bytes('\0%PDF-1.7')],
    ['Latin-1', bytes('Gr\xfc\xdfe')],
    ['UTF-16', new Uint8Array(Buffer.from('\ufeffBefund', 'utf16le'))],
    ['text with a NUL', bytes('a\0b')],
    ['text that is cut within a character', bytes('a\xe2\x82')],
    ['text with a NUL far behind', bytes('a'.repeat(300_000), '\0', 'a'.repeat(300_000))],
    ['half a PNG signature', bytes('\x89PNG')],
  ])('of %s that calls itself a PDF is a 415 and leaves nothing', async (_, file) => {
    const body = good({ file: { bytes: file, type: 'application/pdf' } })
    expectProblem(await leavesNothing(() => upload(body)), 415)
  })

  it.each<[string, number, number]>([
    ['20 MiB', 20 * MiB, 201],
    ['a byte more', 20 * MiB + 1, 413],
    ['21 MiB', 21 * MiB, 413],
  ])('may have %s', async (_, size, status) => {
    const file = new Uint8Array(size)
    file.set(pdf)
    const patientId = await addPatient()
    const send = () => upload(good({ file: { bytes: file } }), patientId)
    if (status !== 201) return expectProblem(await leavesNothing(send), status)
    const created = await send()
    expect([created.status, created.at('size'), created.at('sha256')]).toEqual([201, size, sha256(file)])
    expect(sha256((await download(created.id)).bytes)).toBe(sha256(file))
  })

  it.each<[string[], Record<string, Field | undefined>]>([
    [['file'], { file: { bytes: new Uint8Array() } }],
    [['file'], { file: undefined }],
    [['file'], { file: 'not a file' }],
    [['file'], { file: { bytes: pdf, name: '..' } }],
    [['file'], { file: { bytes: pdf, name: 'x'.repeat(10_000) } }],
    [['file'], { file: { bytes: pdf, name: `${'ä'.repeat(126)}.pdf` } }],
    [['file'], { file: { bytes: pdf, name: `a${'\u0301'.repeat(31)}.pdf` } }],
    [['title'], { title: undefined }],
    [['title'], { title: ' ' }],
    [['title'], { title: 'x'.repeat(201) }],
    [['title'], { title: 'a\0b' }],
    [['kind'], { kind: 'x-ray' }],
    [['appointmentId'], { appointmentId: 'x' }],
    [['appointmentId'], { appointmentId: absent }],
    [['note'], { note: 'x' }],
    [['sha256'], { sha256: 'x' }],
    [['scan'], { scan: { bytes: png } }],
    [
      ['file', 'kind', 'title', '__proto__'],
      { file: undefined, kind: undefined, title: undefined, ['__proto__']: 'x' },
    ],
  ])('is a 400 that names %j, and leaves nothing', async (faults, fields) => {
    const refused = await leavesNothing(() => upload(good(fields)))
    expect([refused.status, refused.faults.toSorted()]).toEqual([400, faults.toSorted()])
    expectProblem(refused, 400)
  })

  it.each<[number, string, Uint8Array | string, Record<string, string>]>([
    [415, 'JSON', '{}', { 'Content-Type': 'application/json' }],
    [415, 'no type', new Uint8Array(3), { 'Content-Type': '' }],
    [415, 'another form', 'title=x', { 'Content-Type': 'application/x-www-form-urlencoded' }],
    [400, 'no boundary', 'x', { 'Content-Type': 'multipart/form-data' }],
    [400, 'nothing', new Uint8Array(), multipart],
    [400, 'no form', 'nonsense', multipart],
    [400, 'no parts', raw(), multipart],
    [400, 'two files', raw([named('file', '; filename="a"'), pdf], [named('file', '; filename="b"'), pdf]), multipart],
    [400, 'a field that is no UTF-8', raw([named('title'), bytes('\xff')]), multipart],
    [413, 'a field without end', raw([named('title'), 'x'.repeat(100_000)]), multipart],
    [
      413,
      'very many parts',
      raw(...Array.from({ length: 50 }, (_, i): [string, string] => [named(`${i}`), ''])),
      multipart,
    ],
  ])('is a %i where the body is %s, and leaves nothing', async (status, _, body, headers) => {
    const send = () => admin.post(`/api/patients/${somebody}/reports`, body, headers)
    expectProblem(await leavesNothing(send), status)
  })

  it('that is cut anywhere leaves nothing', async () => {
    const whole = raw([named('title'), 't'], [named('kind'), 'lab'], [named('file', '; filename="a.pdf"'), pdf])
    for (let length = 1; length < whole.length - 4; length += 7) {
      const cut = await leavesNothing(() => uploadRaw(whole.subarray(0, length)))
      expect([length, cut.status]).toEqual([length, 400])
    }
  })

  it('whose connection breaks leaves nothing', async () => {
    const head = raw([named('title'), 't'], [named('file', '; filename="a.pdf"'), pdf]).subarray(0, -20)
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        controller.enqueue(new Uint8Array(head))
        controller.error(new Error('connection reset'))
      },
    })
    expect((await leavesNothing(() => stream(body))).status).toBe(400)
  })

  it('arrives whole however its bytes are cut into chunks', async () => {
    const file = Buffer.concat([pdf, Buffer.from(`\r\n--${boundary.slice(0, -1)}\r\n-\r\n--`), Buffer.from(pdf)])
    const whole = raw([named('file', '; filename="a.pdf"'), file], [named('title'), 't'], [named('kind'), 'lab'])
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: whole.length }), { maxLength: 20 }), async (cuts) => {
        const at = [0, ...cuts.toSorted((a, b) => a - b), whole.length]
        const body = chunked(at.slice(1).map((end, i) => new Uint8Array(whole.subarray(at[i], end))))
        const response = await stream(body)
        expect([response.status, await response.json()]).toMatchObject([201, { sha256: sha256(file) }])
      }),
      { numRuns: 40 },
    )
  })

  it('that cannot be kept, or gets no row, leaves nothing', async () => {
    const broken: FileStore = { ...api.env.fileStore, put: async () => Promise.reject(new Error('disk full')) }
    const send = (env = {}) =>
      api.send('POST', `/api/patients/${somebody}/reports`, good(), { token: admin.access, env })
    expect((await leavesNothing(() => send({ fileStore: broken }))).status).toBe(500)
    await api.db.execute(sql`alter table audit add constraint broken check (action <> 'report.create') not valid`)
    const refused = await leavesNothing(() => send())
    await api.db.execute(sql`alter table audit drop constraint broken`)
    expect(refused.status).toBe(500)
  })

  it('is a 404 for who does not see the patient, whatever it brings', async () => {
    const stranger = await api.register('Sam Stranger')
    const path = `/api/patients/${somebody}/reports`
    for (const body of [good(), form({}), '{}', undefined])
      expectProblem(await leavesNothing(() => stranger.post(path, body)), 404)
    expectProblem(await upload(good(), absent), 404)
    expectProblem(await upload(good(), 'x'), 404)
  })

  it('names an appointment of that patient, and of no other', async () => {
    const doctorId = (await admin.post('/api/doctors', doctor())).id
    const times = { startsAt: '2099-06-01T09:00:00Z', endsAt: '2099-06-01T09:30:00Z' }
    const appointment = await admin.post('/api/appointments', { patientId: somebody, doctorId, ...times })
    const fields = { appointmentId: appointment.id.toUpperCase() }
    expect((await upload(good(fields))).at('appointmentId')).toBe(appointment.id)
    expect((await leavesNothing(async () => upload(good(fields), await addPatient()))).faults).toEqual([
      'appointmentId',
    ])
    expect((await upload(good({ appointmentId: '' }))).at('appointmentId')).toBe(null)
  })
})

describe('a file name', () => {
  it.each([
    ['../../x', 'x'],
    ['/etc/passwd', 'passwd'],
    ['C:\\Users\\ada\\scan.pdf', 'scan.pdf'],
    ['a\r\nSet-Cookie: x.pdf', 'aSet-Cookie: x.pdf'],
    ['a\u0000\u001b\u007f\u0085b.pdf', 'ab.pdf'],
    ['scan\u202efdp.exe', 'scanfdp.exe'],
    ['\u200fדוח.pdf', '\u200fדוח.pdf'],
    ['the "plans".pdf', 'the "plans".pdf'],
    ['it\u2019s 100%; a=b, c.pdf', 'it\u2019s 100%; a=b, c.pdf'],
    ['100%41.pdf', '100%41.pdf'],
    ['рентген снимок 😀.pdf', 'рентген снимок 😀.pdf'],
    ['Bru\u0308ckner.pdf', 'Br\u00fcckner.pdf'],
    ['  spaced.pdf ', 'spaced.pdf'],
    [`${'x'.repeat(251)}.pdf`, `${'x'.repeat(251)}.pdf`],
  ])('%j is kept as %j and sent back', async (claimed, name) => {
    const created = await upload(good({ file: { bytes: pdf, name: claimed } }))
    expect([created.status, created.at('filename')]).toEqual([201, name])
    const header = (await download(created.id)).headers.get('Content-Disposition') ?? ''
    expect(header).toMatch(/^attachment; filename=[\x20-\x7e]+$/)
    const offered = name.endsWith('.pdf') ? name : `${name}.pdf`
    // What a browser reads: filename* where there is one, or else filename, quoted or not (RFC 6266, section 4.3).
    const extended = /filename\*=UTF-8''([^;]+)$/.exec(header)?.[1]
    const plain = /filename="((?:[^"\\]|\\.)*)"|filename=([^;]+)/.exec(header)
    const read = extended ? decodeURIComponent(extended) : (plain?.[1]?.replace(/\\(.)/g, '$1') ?? plain?.[2])
    expect(read).toBe(offered)
  })

  it('may stand in filename* alone', async () => {
    const more = "; filename*=UTF-8''%C3%BC%20%E2%82%AC.pdf"
    const created = await uploadRaw(raw([named('file', more), pdf], [named('title'), 't'], [named('kind'), 'lab']))
    expect(created.at('filename')).toBe('ü €.pdf')
  })
})

describe('a download', async () => {
  const text = new Uint8Array(Buffer.from('0123456789'))
  const { id } = await upload(good({ file: { bytes: text, name: 'digits.txt' } }))
  const etag = `"${sha256(text)}"`
  const shown = (content: Awaited<ReturnType<typeof download>>) => Buffer.from(content.bytes).toString()

  it('is sent as a file that nothing runs, with what a client needs to go on with it', async () => {
    const { headers } = await download(id)
    expect(Object.fromEntries(headers)).toMatchObject({
      'content-type': 'text/plain; charset=utf-8',
      'content-length': '10',
      'content-disposition': 'attachment; filename=digits.txt',
      'x-content-type-options': 'nosniff',
      'content-security-policy': expect.stringContaining('sandbox'),
      'cache-control': 'no-store',
      'accept-ranges': 'bytes',
      etag,
    })
  })

  it.each([
    ['bytes=0-3', '0123', 'bytes 0-3/10'],
    ['bytes=9-', '9', 'bytes 9-9/10'],
    ['bytes=-4', '6789', 'bytes 6-9/10'],
    ['bytes=-400', '0123456789', 'bytes 0-9/10'],
    ['bytes=5-99999999999999999999', '56789', 'bytes 5-9/10'],
    ['Bytes=0-0', '0', 'bytes 0-0/10'],
  ])('of %s is that part', async (Range, part, contentRange) => {
    const content = await download(id, { headers: { Range } })
    expect([content.status, shown(content), content.headers.get('Content-Range')]).toEqual([206, part, contentRange])
    expect(content.headers.get('Content-Length')).toBe(`${part.length}`)
  })

  it.each(['bytes=5-1', 'bytes=-', 'bytes=0-1,3-4', 'lines=0-1', 'bytes=a-b', 'bytes', 'bytes=0-1;'])(
    'of %s, which is no single range, is whole',
    async (Range) => {
      const content = await download(id, { headers: { Range } })
      expect([content.status, shown(content)]).toEqual([200, '0123456789'])
    },
  )

  it.each(['bytes= 2 - 4 ', 'bytes=\t2-4', 'BYTES=2 -4'])('of %j may have blanks', async (Range) => {
    expect(shown(await download(id, { headers: { Range } }))).toBe('234')
  })

  // Read in a time that grows with its square, it would keep the process for minutes.
  it.each(['bytes=', 'bytes=1', 'bytes=-', 'bytes=1-'])('of %s and half a million blanks is whole', (begun) => {
    expect(parseRange(`${begun}${' '.repeat(500_000)}x`, 10)).toBeUndefined()
  })

  it.each(['bytes=10-', 'bytes=10-20', 'bytes=-0', 'bytes=99999999999999999999-'])('of %s is a 416', async (Range) => {
    const refused = await admin.get(`/api/reports/${id}/content`, { Range })
    expectProblem(refused, 416)
    expect(refused.headers.get('Content-Range')).toBe('bytes */10')
  })

  it.each<[string, Record<string, string>, number, string]>([
    ['the tag is known', { 'If-None-Match': etag }, 304, ''],
    ['the tag is among those known', { 'If-None-Match': `"x", W/${etag}` }, 304, ''],
    ['any is known', { 'If-None-Match': '*' }, 304, ''],
    ['another is known', { 'If-None-Match': '"x"' }, 200, '0123456789'],
    ['a part is known of this', { Range: 'bytes=8-', 'If-Range': etag }, 206, '89'],
    ['a part is known of another', { Range: 'bytes=8-', 'If-Range': '"x"' }, 200, '0123456789'],
    ['a part is known by a weak tag', { Range: 'bytes=8-', 'If-Range': `W/${etag}` }, 200, '0123456789'],
    ['a part is known by its date', { Range: 'bytes=8-', 'If-Range': new Date().toUTCString() }, 200, '0123456789'],
    ['images are accepted', { Accept: 'image/*' }, 200, '0123456789'],
    ['PDF is accepted', { Accept: 'application/pdf' }, 200, '0123456789'],
  ])('where %s', async (_, headers, status, part) => {
    const content = await download(id, { headers })
    expect([content.status, shown(content), content.headers.get('ETag')]).toEqual([status, part, etag])
  })

  it('can be asked about with HEAD, which opens nothing', async () => {
    const closed: FileStore = { ...api.env.fileStore, get: () => Promise.reject(new Error('opened')) }
    const head = await api.send('HEAD', `/api/reports/${id}/content`, undefined, {
      token: admin.access,
      headers: { Range: 'bytes=1-2' },
      env: { fileStore: closed },
    })
    expect([head.status, head.text, head.headers.get('Content-Length')]).toEqual([200, '', '10'])
  })

  it('is a 500 that shows nothing where its file is lost', async () => {
    const lost: FileStore = { ...api.env.fileStore, get: async () => undefined }
    const answer = await api.send('GET', `/api/reports/${id}/content`, undefined, {
      token: admin.access,
      env: { fileStore: lost },
    })
    expectProblemOfOurs(answer.status, answer.headers)
  })
})

const expectProblemOfOurs = (status: number, headers: Headers) => {
  expect([status, headers.get('Content-Type')]).toEqual([500, 'application/problem+json'])
  expect(headers.get('Content-Disposition')).toBe(null)
}

describe('reports of a patient', () => {
  it('are listed newest first, page by page', async () => {
    const patientId = await addPatient()
    const made: string[] = []
    for (const title of ['a', 'b', 'c']) made.unshift((await upload(good({ title }), patientId)).id)
    const first = await admin.get(`/api/patients/${patientId}/reports?limit=2&count=true`)
    expect([first.each('id'), first.at('count')]).toEqual([made.slice(0, 2), 3])
    const second = await admin.get(first.string('next'))
    expect([second.each('id'), second.at('next')]).toEqual([made.slice(2), null])
    expect((await admin.get(`/api/patients/${await addPatient()}/reports`)).list()).toEqual([])
  })

  it('are hidden while the patient is deleted, and come back', async () => {
    const patientId = await addPatient()
    const { id } = await upload(good(), patientId)
    const paths = [`/api/reports/${id}`, `/api/reports/${id}/content`, `/api/patients/${patientId}/reports`]
    const statuses = async () => Promise.all(paths.map(async (path) => (await admin.get(path)).status))
    await admin.delete(`/api/patients/${patientId}`)
    expect(await statuses()).toEqual([404, 404, 404])
    expectProblem(await admin.delete(`/api/reports/${id}`), 404)
    expectProblem(await upload(good(), patientId), 404)
    await admin.post(`/api/patients/${patientId}/restore`)
    expect(await statuses()).toEqual([200, 200, 200])
    expect((await download(id)).bytes).toEqual(pdf)
  })

  it('are deleted by who uploaded them, row and file, and by an administrator', async () => {
    const [adder, linked] = [await api.register('Adam Adder'), await api.register('Lia Linked')]
    const patientId = await addPatient(adder)
    await admin.patch(`/api/patients/${patientId}`, { userId: linked.id })
    const { id } = await upload(good(), patientId, adder)
    expectProblem(await linked.delete(`/api/reports/${id}?x=1`), 400, ['x'])
    expectProblem(await adder.delete(`/api/reports/${id}`, { 'If-Match': '"old"' }), 412)
    expectProblem(await linked.delete(`/api/reports/${id}`), 403)
    expect((await download(id, { token: linked.access })).status).toBe(200)
    expect((await adder.delete(`/api/reports/${id}`)).status).toBe(204)
    expect(await kept()).not.toContain(id)
    for (const path of [`/api/reports/${id}`, `/api/reports/${id}/content`]) expectProblem(await adder.get(path), 404)
    expectProblem(await adder.delete(`/api/reports/${id}`), 404)
    const other = await upload(good(), patientId, linked)
    expect((await admin.delete(`/api/reports/${other.id}`)).status).toBe(204)
  })

  it('are deleted also where the file cannot be removed, which the sweep then does', async () => {
    const { id } = await upload(good())
    const stuck: FileStore = { ...api.env.fileStore, delete: () => Promise.reject(new Error('no')) }
    const env = { fileStore: stuck }
    expect((await api.send('DELETE', `/api/reports/${id}`, undefined, { token: admin.access, env })).status).toBe(204)
    expectProblem(await admin.get(`/api/reports/${id}`), 404)
    expect(await kept()).toContain(id)
    await api.env.fileStore.delete(id)
  })
})

it('leaves one row of the trail for everything that is done with a report', async () => {
  const patientId = await addPatient()
  const { id } = await upload(good(), patientId)
  await admin.get(`/api/patients/${patientId}/reports`)
  await admin.get(`/api/reports/${id}`)
  await download(id)
  await download(id, { headers: { Range: 'bytes=0-1' } })
  await download(id, {}, 'HEAD')
  await admin.delete(`/api/reports/${id}`)
  await api.env.auditWriter.flush()
  const trail = await admin.get(`/api/patients/${patientId}/audit`)
  const rows = trail.list().map((row) => Object(row))
  expect(
    rows.map(({ action, status, resource, resourceId }) => [action, status, resource, resourceId]).toReversed(),
  ).toEqual([
    ['patient.create', 201, 'patient', patientId],
    ['report.create', 201, 'report', id],
    ['report.list', 200, 'report', null],
    ['report.read', 200, 'report', id],
    ['report.download', 200, 'report', id],
    ['report.download', 206, 'report', id],
    ['report.download', 200, 'report', id],
    ['report.delete', 204, 'report', id],
  ])
  const changes = rows.find(({ action }) => action === 'report.create')?.changes
  expect(changes).toMatchObject({ title: { before: null, after: 'Blood count' }, size: { after: pdf.length } })
  expect(JSON.stringify(rows)).not.toContain(sha256(pdf))
})

it('the sweep finds what a crash left, and nothing that is young, known or not ours', async () => {
  const old = new Date(Date.now() - 2 * 60 * 60 * 1000)
  const left = async (name: string, at: Date) => {
    await writeFile(join(api.folder, name), 'x')
    await utimes(join(api.folder, name), at, at)
    return name
  }
  const { id } = await upload(good())
  await utimes(join(api.folder, id), old, old)
  const stray = [await left(crypto.randomUUID(), old), await left(`${crypto.randomUUID()}.part`, old)]
  const others = [await left(crypto.randomUUID(), new Date()), await left('notes.txt', old)]
  const files = await createFolderFileStore(api.folder)
  const found = await findStrayFiles(api.db, files)
  expect([found.stray.toSorted(), found.young]).toEqual([stray.toSorted(), 1])
  for (const key of stray) await files.delete(key)
  expect((await findStrayFiles(api.db, files)).stray).toEqual([])
  for (const name of others) await files.delete(name)
})

describe('where files cannot be kept', () => {
  const refused = (answer: Answer, status: number, type: string) => {
    expect([answer.status, answer.at('type')]).toEqual([status, `/problems/${type}`])
    expect(answer.string('detail')).toMatch(/\.$/)
  }

  it('an upload is a 503 and a download too, until the folder is back', async () => {
    const created = await upload(good())
    const files = await createFolderFileStore(api.folder)
    await rename(api.folder, `${api.folder}.away`)
    expect(await files.findFault()).toContain(api.folder)
    const answer = await upload(good())
    refused(answer, 503, 'unavailable')
    expect(answer.headers.get('Retry-After')).toMatch(/^[1-9]\d*$/)
    await writeFile(api.folder, 'no folder')
    refused(await admin.get(`/api/reports/${created.id}/content`), 503, 'unavailable')
    await rm(api.folder)
    await rename(`${api.folder}.away`, api.folder)
    expect(await files.findFault()).toBeUndefined()
    expect((await upload(good())).status).toBe(201)
    expect((await download(created.id)).bytes).toEqual(pdf)
  })

  it('an upload is a 507 where the disk is full, and leaves nothing', async () => {
    const { fileStore } = api.env
    // What the system says of a disk without room, in the midst of a file.
    async function* cut() {
      yield pdf
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC', syscall: 'write' })
    }
    const full: FileStore = { ...fileStore, put: (key) => fileStore.put(key, cut()) }
    const token = admin.access
    const send = () =>
      api.send('POST', `/api/patients/${somebody}/reports`, good(), { token, env: { fileStore: full } })
    refused(await leavesNothing(send), 507, 'insufficient-storage')
  })

  it('each failure is counted, and a fault of the caller is none', async () => {
    let failures = 0
    const files = withFailureListener(await createFolderFileStore(`${api.folder}.other`), () => {
      failures += 1
    })
    await rm(`${api.folder}.other`, { recursive: true })
    const whole = async function* () {
      yield pdf
    }
    await expect(files.put(absent, whole())).rejects.toBeInstanceOf(FileStoreProblem)
    const broken = async function* () {
      yield pdf
      throw new Error('the client has left')
    }
    await expect(api.env.fileStore.put(absent, broken())).rejects.toThrow('the client has left')
    expect(failures).toBe(1)
  })
})

describe('a downloaded file has a name of its type', () => {
  it.each<[string, string, Uint8Array<ArrayBuffer>]>([
    ['x.exe', 'x.exe.txt', bytes('text')],
    ['x.html', 'x.html.txt', bytes('<!doctype html>')],
    ['x.svg', 'x.svg.txt', bytes('<svg xmlns="http://www.w3.org/2000/svg"/>')],
    ['x', 'x.txt', bytes('text')],
    ['results.csv', 'results.csv', bytes('a,b')],
    ['scan.PDF', 'scan.PDF', pdf],
    ['scan.pdf.exe', 'scan.pdf.exe.pdf', pdf],
    ['photo.jpeg', 'photo.jpeg', jpeg],
    ['photo.png', 'photo.png.jpg', jpeg],
    ['IM0001', 'IM0001.dcm', dicom],
    ['.pdf', '.pdf', pdf],
    ['a.pdf.', 'a.pdf..pdf', pdf],
  ])('%s is offered as %s', async (name, offered, file) => {
    const created = await upload(good({ file: { bytes: file, name } }))
    expect(created.at('filename')).toBe(name)
    const header = (await download(created.id)).headers.get('Content-Disposition') ?? ''
    expect(parse(header)).toMatchObject({ type: 'attachment', parameters: { filename: offered } })
  })
})
