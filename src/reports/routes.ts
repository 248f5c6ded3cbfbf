import { create as contentDisposition } from 'content-disposition'
import { type Context, Hono } from 'hono'
import { can, type Guarded } from '../access/can.ts'
import { needPatient } from '../access/patient.ts'
import { content, created, deleted, one, page } from '../http/about.ts'
import { answerOne, hasAlready } from '../http/etag.ts'
import { ById } from '../http/fields.ts'
import { answerPage, plainQuery, readPage } from '../http/page.ts'
import { Problem } from '../http/problem.ts'
import { rangeOf } from '../http/range.ts'
import { noQuery, valid } from '../http/valid.ts'
import { isRepeated } from '../idempotency/once.ts'
import { downloadNameOf, fileTypes } from './file-types.ts'
import { deleteReport, getReport, listReports, refusalOfUpload } from './queries.ts'
import { NewReport, Report } from './schema.ts'
import { removeFile, uploadReport } from './upload.ts'

/** @throws {Problem} 404 where the caller does not see the patient in the path */
const seesPatient = (c: Context<Guarded, '/:id'>) => needPatient(c.env.db, c.get('caller'), c.req.param('id'))
/** @throws {Problem} 404 where the caller does not see the report in the path */
const seesReport = (c: Context<Guarded, '/:id'>) => getReport(c.env.db, c.get('caller'), c.req.param('id'))

export const reportRoutes = new Hono()
  .get(
    '/patients/:id/reports',
    can('reports:list', { id: 'listReports', summary: 'List the reports of a patient', answers: page(Report) }),
    valid('param', ById),
    valid('query', plainQuery({}), { first: seesPatient }),
    async (c) => {
      const { id } = c.req.valid('param')
      const read = await readPage(c, c.req.valid('query'), listReports(c.env.db, c.get('caller'), id))
      if (read.rows.length === 0) await seesPatient(c)
      return answerPage(c, read)
    },
  )
  .post(
    '/patients/:id/reports',
    can('reports:upload', {
      id: 'uploadReport',
      summary: 'Upload a report',
      description:
        'A file of 1 byte to 20 MiB: PDF, PNG, JPEG, WebP, GIF, TIFF, HEIC or HEIF, DICOM, or plain text in UTF-8, known by its bytes.',
      answers: created(Report),
      form: NewReport,
      problems: [
        'bad-request',
        'request-timeout',
        'payload-too-large',
        'unsupported-media-type',
        'insufficient-storage',
      ],
      limits: ['UPLOADS_PER_ACCOUNT_DAY', 'UPLOAD_MIB_PER_ACCOUNT_DAY'],
    }),
    valid('param', ById),
    noQuery(seesPatient),
    async (c) => {
      // Before the body: nothing is stored for someone who does not see the patient, or has uploaded enough for a day.
      const [, refusal] = await Promise.all([seesPatient(c), refusalOfUpload(c.env.db, c.env.config, c.get('caller'))])
      if (refusal && !(await isRepeated(c))) throw refusal
      return uploadReport(c, c.req.valid('param').id)
    },
  )
  .get(
    '/reports/:id',
    can('reports:get', { id: 'getReport', summary: 'Get what is known of a report', answers: one(Report) }),
    valid('param', ById),
    noQuery(seesReport),
    async (c) => {
      const report = await getReport(c.env.db, c.get('caller'), c.req.valid('param').id)
      c.set('subject', { resourceId: report.id, patientId: report.patientId })
      return answerOne(c, report)
    },
  )
  .delete(
    '/reports/:id',
    can('reports:delete', { id: 'deleteReport', summary: 'Delete a report and its file', answers: deleted }),
    valid('param', ById),
    noQuery(seesReport),
    async (c) => {
      const { id } = c.req.valid('param')
      await deleteReport(c.env.db, c.get('caller'), id)
      await removeFile(c, id)
      return c.body(null, 204)
    },
  )
  // Whole, or one range of it (RFC 9110, section 14), under the name that it came with (RFC 6266).
  .get(
    '/reports/:id/content',
    can('reports:download', {
      id: 'downloadReport',
      summary: 'Download the file of a report',
      answers: content(
        fileTypes.map(({ mediaType }) => mediaType),
        { ranged: true },
      ),
    }),
    valid('param', ById),
    noQuery(seesReport),
    async (c) => {
      const report = await getReport(c.env.db, c.get('caller'), c.req.valid('param').id)
      const { id, patientId, filename, contentType, size, sha256 } = report
      c.set('subject', { resourceId: id, patientId })
      const etag = `"${sha256}"`
      if (hasAlready(c.req.header('If-None-Match'), sha256)) return c.body(null, 304, { ETag: etag })

      const ranged = c.req.method === 'GET' && (c.req.header('If-Range') ?? etag) === etag
      const range = ranged ? rangeOf(c.req.header('Range'), size) : undefined
      if (range === 'unsatisfiable')
        throw new Problem('range-not-satisfiable', { headers: { 'Content-Range': `bytes */${size}` } })
      const headers = {
        'Accept-Ranges': 'bytes',
        'Content-Disposition': contentDisposition(downloadNameOf(filename, contentType)),
        'Content-Length': `${range ? range.last - range.first + 1 : size}`,
        'Content-Type': contentType === 'text/plain' ? 'text/plain; charset=utf-8' : contentType,
        ETag: etag,
      }
      if (c.req.method === 'HEAD') return c.body(null, 200, headers)

      const bytes = await c.env.files.get(id, range)
      if (!bytes) throw new Problem('internal', { cause: new Error('the file of a report is lost') })
      if (!range) return c.body(bytes, 200, headers)
      return c.body(bytes, 206, { ...headers, 'Content-Range': `bytes ${range.first}-${range.last}/${size}` })
    },
  )
