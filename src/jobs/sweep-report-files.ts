import { inArray } from 'drizzle-orm'
import { validate as isUuid } from 'uuid'
import type { DatabaseOrTransaction, ListableFileStore } from '../context.ts'
import { reports } from '../features/reports/schema.ts'

/** How long an upload may take to get its row, in ms: younger files are left alone. */
const maxUploadMs = 60 * 60 * 1000
const batchFileCount = 500

/**
 * The files that no report leads to, which a crash or a lost database left: those to remove, how many are too young for
 * that, and how many files have their report.
 */
export async function findStrayFiles(
  db: DatabaseOrTransaction,
  files: ListableFileStore,
): Promise<{ stray: string[]; young: number; known: number }> {
  const before = Date.now() - maxUploadMs
  const found: { key: string; modified: Date }[] = []
  for await (const file of files.list()) found.push(file)
  const known = new Set<string>()
  for (let at = 0; at < found.length; at += batchFileCount) {
    const ids = found.slice(at, at + batchFileCount).flatMap(({ key }) => (isUuid(key) ? [key] : []))
    const rows = await db.select({ id: reports.id }).from(reports).where(inArray(reports.id, ids))
    for (const { id } of rows) known.add(id)
  }
  const without = found.filter(({ key }) => !known.has(key))
  const stray = without.flatMap(({ key, modified }) => (modified.getTime() < before ? [key] : []))
  return { stray, young: without.length - stray.length, known: known.size }
}
