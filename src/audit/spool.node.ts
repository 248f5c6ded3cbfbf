import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { AuditWriter, Logger } from '../context.ts'
import { newId } from '../database/id.ts'

const isSpoolFile = (name: string) => /^audit-[0-9a-f-]{36}\.jsonl$/.test(name)

/**
 * Keeps rows of the audit log that could not be written in a file of their own in `folder`, for the next start: one row of
 * JSON a line, on the disk before it has its name. Resolves to the file.
 */
export async function saveToSpool(folder: string, rows: readonly string[]): Promise<string> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const file = join(folder, `audit-${newId()}.jsonl`)
  const partialFile = `${file}.part`
  const handle = await open(partialFile, 'wx', 0o600)
  await handle
    .writeFile(`${rows.join('\n')}\n`)
    .then(() => handle.sync())
    .finally(() => handle.close())
  await rename(partialFile, file)
  return file
}

/** How long the database is left alone after it did not take the rows of a file, in ms. */
const retryIntervalMs = 5000

/**
 * Writes what earlier processes left in `folder`, and removes each file once all its rows are committed. Rows have ids of
 * their own, so that several processes may take up the same file: each row is written once. Tries until `stopped`.
 */
export async function replaySpool(
  folder: string,
  auditWriter: AuditWriter,
  log: Logger,
  stopped: AbortSignal,
): Promise<void> {
  const names = await readdir(folder).catch(() => [])
  for (const name of names.filter(isSpoolFile).toSorted()) {
    const file = join(folder, name)
    try {
      const rows = (await readFile(file, 'utf8')).split('\n').filter(Boolean)
      while (!stopped.aborted && !(await auditWriter.writeRows(rows)))
        await setTimeout(retryIntervalMs, undefined, { signal: stopped, ref: false }).catch(() => {})
      if (stopped.aborted) return
      await rm(file, { force: true })
      log.info({ msg: 'audit entries of an earlier process were written', entries: rows.length, file })
    } catch (err) {
      // Another process has taken it up, and removed it.
      if (err instanceof Error && 'code' in err && err.code === 'ENOENT') continue
      log.error({ msg: 'audit entries of an earlier process could not be read', file, err })
    }
  }
}
