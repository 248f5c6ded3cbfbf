import { create as contentDisposition } from 'content-disposition'
import { type Context, Hono } from 'hono'
import { can } from '../../access/can.ts'
import { assertPatientAccess } from '../../access/patient-access.ts'
import type { GuardedEnv } from '../../context.ts'
import { matchesIfNoneMatch, parseIfMatch } from '../../http/etag.ts'
import { IdParam } from '../../http/field-types.ts'
import { respondWithRecord } from '../../http/json-response.ts'
import { newestFirstQuery } from '../../http/list-query.ts'
import {
  binaryResponse,
  createdResponse,
  deletedResponse,
  pageResponse,
  recordResponse,
} from '../../http/operation-description.ts'
import { fetchPage, respondWithPage } from '../../http/paging.ts'
import { Problem } from '../../http/problem.ts'
import { parseRange } from '../../http/range.ts'
import { noQuery, valid } from '../../http/validation.ts'
import { hasSavedResponse } from '../../idempotency/with-idempotency.ts'
import { fileTypes, getDownloadName } from './file-types.ts'
import { deleteReport, findUploadLimitProblem, getReport, listReports } from './queries.ts'
import { NewReport, ReportResponse } from './schema.ts'
import { removeFile, uploadReport } from './upload.ts'

/** @throws {Problem} 404 where the caller does not see the patient in the path */
const assertPatientInPath = (c: Context<GuardedEnv, '/:id'>) =>
  assertPatientAccess(c.env.db, c.get('requestContext'), c.req.param('id'))
/** @throws {Problem} 404 where the caller does not see the report in the path */
const assertReportInPath = (c: Context<GuardedEnv, '/:id'>) =>
  getReport(c.env.db, c.get('requestContext'), c.req.param('id'))

/** `/api/patients/{id}/reports` and `/api/reports`. */
export const reportRoutes = new Hono()
  .get(
    '/patients/:id/reports',
    can('reports:list', {
      operationId: 'listReports',
      summary: 'List the reports of a patient',
      responds: pageResponse(ReportResponse),
    }),
    valid('param', IdParam),
    valid('query', newestFirstQuery({}), { precheck: assertPatientInPath }),
    async (c) => {
      const { id } = c.req.valid('param')
      const read = await fetchPage(c, c.req.valid('query'), listReports(c.env.db, c.get('requestContext'), id))
      if (read.rows.length === 0) await assertPatientInPath(c)
      return respondWithPage(c, read, null)
    },
  )
  .post(
    '/patients/:id/reports',
    can('reports:upload', {
      operationId: 'uploadReport',
      summary: 'Upload a report',
      description:
        'A file of 1 byte to 20 MiB: PDF, PNG, JPEG, WebP, GIF, TIFF, HEIC or HEIF, DICOM, or plain text in UTF-8, known by its bytes.',
      responds: createdResponse(ReportResponse),
      formSchema: NewReport,
      problems: [
        'bad-request',
        'request-timeout',
        'payload-too-large',
        'unsupported-media-type',
        'insufficient-storage',
      ],
      limits: ['UPLOADS_PER_ACCOUNT_DAY', 'UPLOAD_MIB_PER_ACCOUNT_DAY'],
    }),
    valid('param', IdParam),
    noQuery(assertPatientInPath),
    async (c) => {
      // Before the body: nothing is stored for someone who does not see the patient, or has uploaded enough for a day.
      const [, limitProblem] = await Promise.all([
        assertPatientInPath(c),
        findUploadLimitProblem(c.env.db, c.env.config, c.get('requestContext')),
      ])
      if (limitProblem && !(await hasSavedResponse(c))) throw limitProblem
      return uploadReport(c, c.req.valid('param').id)
    },
  )
  .get(
    '/reports/:id',
    can('reports:get', {
      operationId: 'getReport',
      summary: 'Get what is known of a report',
      responds: recordResponse(ReportResponse),
    }),
    valid('param', IdParam),
    noQuery(assertReportInPath),
    async (c) => {
      const report = await getReport(c.env.db, c.get('requestContext'), c.req.valid('param').id)
      return respondWithRecord(c, report, { patientId: report.patientId })
    },
  )
  .delete(
    '/reports/:id',
    can('reports:delete', {
      operationId: 'deleteReport',
      summary: 'Delete a report and its file',
      responds: deletedResponse,
    }),
    valid('param', IdParam),
    noQuery(assertReportInPath),
    async (c) => {
      const { id } = c.req.valid('param')
      await deleteReport(c.env.db, c.get('requestContext'), id, parseIfMatch(c.req))
      await removeFile(c, id)
      return c.body(null, 204)
    },
  )
  // Whole, or one range of it (RFC 9110, section 14), under the name that it came with (RFC 6266).
  .get(
    '/reports/:id/content',
    can('reports:download', {
      operationId: 'downloadReport',
      summary: 'Download the file of a report',
      responds: binaryResponse(
        fileTypes.map(({ mediaType }) => mediaType),
        { takesRange: true },
      ),
    }),
    valid('param', IdParam),
    noQuery(assertReportInPath),
    async (c) => {
      const report = await getReport(c.env.db, c.get('requestContext'), c.req.valid('param').id)
      const { id, patientId, filename, contentType, size, sha256 } = report
      c.set('auditSubject', { resourceId: id, patientId })
      const etag = `"${sha256}"`
      if (matchesIfNoneMatch(c.req.header('If-None-Match'), sha256)) return c.body(null, 304, { ETag: etag })

      const ranged = c.req.method === 'GET' && (c.req.header('If-Range') ?? etag) === etag
      const range = ranged ? parseRange(c.req.header('Range'), size) : undefined
      if (range === 'unsatisfiable')
        throw new Problem('range-not-satisfiable', { headers: { 'Content-Range': `bytes */${size}` } })
      const headers = {
        'Accept-Ranges': 'bytes',
        'Content-Disposition': contentDisposition(getDownloadName(filename, contentType)),
        'Content-Length': `${range ? range.last - range.first + 1 : size}`,
        'Content-Type': contentType === 'text/plain' ? 'text/plain; charset=utf-8' : contentType,
        ETag: etag,
      }
      if (c.req.method === 'HEAD') return c.body(null, 200, headers)

      const bytes = await c.env.fileStore.get(id, range)
      if (!bytes) throw new Problem('internal', { cause: new Error('the file of a report is lost') })
      if (!range) return c.body(bytes, 200, headers)
      return c.body(bytes, 206, { ...headers, 'Content-Range': `bytes ${range.first}-${range.last}/${size}` })
    },
  )
