import { mkdir, open, readdir, rename, rm, stat, statfs, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { validate as isUuid } from 'uuid'
import type { ListableFileStore } from '../../context.ts'
import { newId } from '../../database/id.ts'
import { FileStoreProblem } from './file-store.ts'

/** With less room than this on its disk, a folder is about to be full: some thousand reports. */
const scarceBytes = 1024 ** 3
const partialSuffix = '.part'
/** Whether a file of the folder is ours: whoever runs us may keep others there. */
const isReportFile = (name: string) =>
  isUuid(name.endsWith(partialSuffix) ? name.slice(0, -partialSuffix.length) : name)

/** What a failure of the file system is to whoever uploads or downloads. */
function toFileStoreError(error: NodeJS.ErrnoException): Error {
  if (['ENOSPC', 'EDQUOT'].includes(error.code ?? '')) return new FileStoreProblem('full', error)
  return error.syscall === undefined ? error : new FileStoreProblem('unavailable', error)
}

const ignoreMissingFile = (error: NodeJS.ErrnoException): undefined => {
  if (error.code !== 'ENOENT') throw toFileStoreError(error)
}

/** Makes the names in a folder last, as far as the system can. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder)
  await handle.sync().finally(() => handle.close())
}

/** Files in `folder`, made where there is none: written beside, on the disk before they get their name. */
export async function createFolderFileStore(folder: string): Promise<ListableFileStore> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  return {
    async put(key, bytes) {
      const file = join(folder, key)
      try {
        const handle = await open(file + partialSuffix, 'wx', 0o600)
        await handle
          .writeFile(bytes)
          .then(() => handle.sync())
          .finally(() => handle.close())
        await rename(file + partialSuffix, file)
        await syncFolder(folder)
      } catch (error) {
        await rm(file + partialSuffix, { force: true }).catch(() => {})
        throw error instanceof Error ? toFileStoreError(error) : error
      }
    },
    async get(key, range) {
      const handle = await open(join(folder, key)).catch(ignoreMissingFile)
      if (!handle) return undefined
      const chunks = handle.createReadStream({ start: range?.first, end: range?.last })[Symbol.asyncIterator]()
      return new ReadableStream<Uint8Array>({
        async pull(controller) {
          const { done, value } = await chunks.next()
          if (done) controller.close()
          else controller.enqueue(value)
        },
        async cancel() {
          await chunks.return?.()
        },
      })
    },
    async delete(key) {
      await rm(join(folder, key), { force: true }).catch(ignoreMissingFile)
    },
    async findFault() {
      const probe = join(folder, newId() + partialSuffix)
      try {
        await writeFile(probe, '', { flag: 'wx', mode: 0o600 })
        await rm(probe)
        const { bavail, bsize } = await statfs(folder)
        return bavail * bsize < scarceBytes
          ? `The disk of ${folder} is nearly full: reports cannot be kept soon.`
          : undefined
      } catch (error) {
        const reason = error instanceof Error && 'code' in error ? ` (${error.code})` : ''
        return `The folder ${folder} keeps no files${reason}: uploads of reports are refused until it does.`
      }
    },
    async *list() {
      for (const key of await readdir(folder)) {
        const file = isReportFile(key) && (await stat(join(folder, key)).catch(ignoreMissingFile))
        if (file) yield { key, modified: file.mtime }
      }
    },
  }
}
