import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { validate as isUuid } from 'uuid'
import type { ListedFiles } from './files.ts'

const unfinished = '.part'
/** Whether a file of the folder is ours: whoever runs us may keep others there. */
const ours = (name: string) => isUuid(name.endsWith(unfinished) ? name.slice(0, -unfinished.length) : name)

const absent = (error: NodeJS.ErrnoException): undefined => {
  if (error.code !== 'ENOENT') throw error
}

/** Makes the names in a folder last, as far as the system can. */
async function sync(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  const handle = await open(folder)
  await handle.sync().finally(() => handle.close())
}

/** Files in `folder`, made where there is none: written beside, on the disk before they get their name. */
export async function folderFiles(folder: string): Promise<ListedFiles> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  return {
    async put(key, bytes) {
      const file = join(folder, key)
      try {
        const handle = await open(file + unfinished, 'wx', 0o600)
        await handle
          .writeFile(bytes)
          .then(() => handle.sync())
          .finally(() => handle.close())
        await rename(file + unfinished, file)
        await sync(folder)
      } catch (error) {
        await rm(file + unfinished, { force: true })
        throw error
      }
    },
    async get(key, range) {
      const handle = await open(join(folder, key)).catch(absent)
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
      await rm(join(folder, key), { force: true })
    },
    async *list() {
      for (const key of await readdir(folder)) {
        const file = ours(key) && (await stat(join(folder, key)).catch(absent))
        if (file) yield { key, modified: file.mtime }
      }
    },
  }
}
