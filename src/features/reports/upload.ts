import type { Context } from 'hono'
import type { GuardedEnv } from '../../context.ts'
import { newId } from '../../database/id.ts'
import { toDatabaseProblem } from '../../http/database-problem.ts'
import { readMultipartForm } from '../../http/multipart-form.ts'
import { type FieldError, Problem } from '../../http/problem.ts'
import { toFieldErrors } from '../../http/validation.ts'
import { withIdempotency } from '../../idempotency/with-idempotency.ts'
import { type InspectedFile, inspectFile, maxFileBytes } from './file-inspection.ts'
import { createReport, getReport } from './queries.ts'
import { NewReport } from './schema.ts'

/**
 * Takes a form with a file, whose bytes go to where files are kept as they come, and then makes the report. What cannot
 * be taken leaves nothing; a crash between the two leaves a file that nothing leads to, for the sweep to find. Answers
 * 201 with the report.
 * @throws {Problem} 415, 413, 400 naming every field at fault, 404 where the patient is not seen any more, and what {@link withIdempotency} throws
 */
export async function uploadReport(c: Context<GuardedEnv>, patientId: string) {
  const { fileStore } = c.env
  const id = newId()
  try {
    const form = await readMultipartForm(c.req, { file: 'file', maxFileBytes }, async (bytes) => {
      let inspectedFile: InspectedFile | undefined
      await fileStore.put(
        id,
        inspectFile(bytes, (inspected) => {
          inspectedFile = inspected
        }),
      )
      return inspectedFile
    })
    const inspectedFile = form.file?.result
    const { data, errors } = safeParseForm(form)
    if (!data || !inspectedFile || errors.length > 0) throw new Problem('bad-request', { errors })
    const { file: filename, ...fields } = data
    const answer = await withIdempotency(c, {
      location: '/api/reports',
      requestFingerprint: { ...fields, filename, sha256: inspectedFile.sha256 },
      create: (db) =>
        createReport(db, c.env.config, c.get('requestContext'), {
          ...fields,
          ...inspectedFile,
          id,
          patientId,
          filename,
        }),
      readPermission: 'reports:get',
      assertVisible: getReport,
      getPatientId: (report) => report.patientId,
    })
    // The report that is answered again has its file already.
    if (answer.headers.has('Idempotent-Replayed')) await removeFile(c, id)
    return answer
  } catch (error) {
    // Whether a row was made is not known where the database was lost: then the sweep decides.
    if (toDatabaseProblem(error)?.type !== 'unavailable') await removeFile(c, id)
    throw error
  }
}

type ReportForm = Awaited<ReturnType<typeof readMultipartForm<InspectedFile | undefined>>>

/** The form's values, and all its faults. */
function safeParseForm({ fields, file, errors }: ReportForm) {
  const parsed = NewReport.safeParse({ ...fields, file: file?.name })
  const allErrors: FieldError[] = [...errors, ...toFieldErrors(parsed.error?.issues ?? [])]
  if (file?.result?.size === 0) allErrors.push({ path: 'file', message: 'must not be empty', code: 'too_small' })
  return {
    data: parsed.data,
    errors: allErrors.filter(({ path }, i) => allErrors.findIndex((e) => e.path === path) === i),
  }
}

/** Removes a file that no row leads to; where that fails, the sweep will. */
export async function removeFile(c: Context<GuardedEnv>, id: string): Promise<void> {
  await c.env.fileStore.delete(id).catch((err: unknown) => {
    c.env.logger.warn({ requestId: c.get('requestId'), msg: 'a file is left for reports:sweep', err })
  })
}
