import type { Context } from 'hono'
import type { Guarded } from '../access/can.ts'
import { databaseProblem } from '../db/failure.ts'
import { readForm } from '../http/form.ts'
import { type FieldError, Problem } from '../http/problem.ts'
import { fieldErrors } from '../http/valid.ts'
import { newId } from '../id.ts'
import { once } from '../idempotency/once.ts'
import { type Content, inspected, maxFile } from './content.ts'
import { createReport, getReport } from './queries.ts'
import { NewReport } from './schema.ts'

/**
 * Takes a form with a file, whose bytes go to where files are kept as they come, and then makes the report. What cannot
 * be taken leaves nothing; a crash between the two leaves a file that nothing leads to, for the sweep to find. Answers
 * 201 with the report.
 * @throws {Problem} 415, 413, 400 naming every field at fault, 404 where the patient is not seen any more, and what {@link once} throws
 */
export async function uploadReport(c: Context<Guarded>, patientId: string) {
  const { files } = c.env
  const id = newId()
  try {
    const form = await readForm(c.req, { file: 'file', maxFile }, async (bytes) => {
      let content: Content | undefined
      await files.put(
        id,
        inspected(bytes, (told) => {
          content = told
        }),
      )
      return content
    })
    const content = form.file?.taken
    const { data, errors } = check(form)
    if (!data || !content || errors.length > 0) throw new Problem('bad-request', { errors })
    const { file: filename, ...fields } = data
    const answer = await once(c, {
      at: '/api/reports',
      request: { ...fields, filename, sha256: content.sha256 },
      create: (db) =>
        createReport(db, c.env.config, c.get('caller'), { ...fields, ...content, id, patientId, filename }),
      read: 'reports:get',
      see: getReport,
      patientOf: (report) => report.patientId,
    })
    // The report that is answered again has its file already.
    if (answer.headers.has('Idempotent-Replayed')) await removeFile(c, id)
    return answer
  } catch (error) {
    // Whether a row was made is not known where the database was lost: then the sweep decides.
    if (databaseProblem(error)?.type !== 'unavailable') await removeFile(c, id)
    throw error
  }
}

type Form = Awaited<ReturnType<typeof readForm<Content | undefined>>>

/** The form's values, and all its faults. */
function check({ fields, file, errors }: Form) {
  const parsed = NewReport.safeParse({ ...fields, file: file?.name })
  const found: FieldError[] = [...errors, ...fieldErrors(parsed.error?.issues ?? [])]
  if (file?.taken?.size === 0) found.push({ path: 'file', message: 'must not be empty', code: 'too_small' })
  return { data: parsed.data, errors: found.filter(({ path }, i) => found.findIndex((e) => e.path === path) === i) }
}

/** Removes a file that no row leads to; where that fails, the sweep will. */
export async function removeFile(c: Context<Guarded>, id: string): Promise<void> {
  await c.env.files.delete(id).catch((err: unknown) => {
    c.env.log.warn({ requestId: c.get('requestId'), msg: 'a file is left for reports:sweep', err })
  })
}
