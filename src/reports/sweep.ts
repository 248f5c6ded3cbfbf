import { inArray } from 'drizzle-orm'
import { validate as isUuid } from 'uuid'
import type { Db } from '../db/client.ts'
import type { ListedFiles } from './files.ts'
import { reports } from './schema.ts'

/** How long an upload may take to get its row, in ms: younger files are left alone. */
const grace = 60 * 60 * 1000
const batch = 500

/** The files that no report leads to, which a crash or a lost database left, and how many of the others there are. */
export async function strayFiles(db: Db, files: ListedFiles): Promise<{ stray: string[]; known: number }> {
  const before = Date.now() - grace
  const old: string[] = []
  for await (const { key, modified } of files.list()) if (modified.getTime() < before) old.push(key)
  const known = new Set<string>()
  for (let at = 0; at < old.length; at += batch) {
    const ids = old.slice(at, at + batch).filter(isUuid)
    const rows = await db.select({ id: reports.id }).from(reports).where(inArray(reports.id, ids))
    for (const { id } of rows) known.add(id)
  }
  return { stray: old.filter((key) => !known.has(key)), known: known.size }
}
