import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { type Config, ConfigError, readConfig } from './config.ts'
import type { ListedFiles } from './reports/files.ts'

/** The secret kept in `folder`, made the first time. It is whole or not there, and never made twice. */
async function keptSecret(folder: string): Promise<string> {
  const file = join(folder, 'jwt-secret')
  const kept = await readFile(file, 'utf8').catch(() => '')
  if (kept) return kept
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const made = `${file}.${process.pid}`
  await writeFile(made, randomBytes(48).toString('base64url'), { mode: 0o600, flush: true })
  await link(made, file).catch(() => {})
  await rm(made)
  return readFile(file, 'utf8')
}

/**
 * The settings of this process. Outside production a missing JWT_SECRET is made once and kept in the data folder.
 * @throws {ConfigError}
 */
export async function configure(source: NodeJS.ProcessEnv): Promise<Config> {
  const makesSecret = !source.JWT_SECRET && source.NODE_ENV !== 'production'
  const JWT_SECRET = makesSecret ? await keptSecret(source.DATA_DIR || '.data') : source.JWT_SECRET
  return readConfig({ ...source, JWT_SECRET }, { keepsFiles: true })
}

/**
 * The settings of a command, which signs no token: a JWT_SECRET is none of its business, and none is made.
 * @throws {ConfigError}
 */
export const configureCommand = (source: NodeJS.ProcessEnv, { keepsFiles = false } = {}): Config => {
  const secrets = { JWT_SECRET: randomBytes(32).toString('base64url'), JWT_SECRET_PREVIOUS: undefined }
  return readConfig({ ...source, ...secrets }, { keepsFiles })
}

/**
 * Where the settings say that files are kept: in a store that speaks S3, or in a folder.
 * @throws {ConfigError} where the folder cannot be used
 */
export async function openFiles(config: Config): Promise<ListedFiles> {
  if (config.S3_ENDPOINT) {
    const { s3Files } = await import('./reports/files.s3.ts')
    return s3Files({
      endpoint: config.S3_ENDPOINT,
      region: config.S3_REGION ?? '',
      bucket: config.S3_BUCKET ?? '',
      accessKeyId: config.S3_ACCESS_KEY_ID ?? '',
      secretAccessKey: config.S3_SECRET_ACCESS_KEY ?? '',
    })
  }
  const { folderFiles } = await import('./reports/files.folder.ts')
  const folder = config.REPORTS_DIR ?? join(config.DATA_DIR, 'reports')
  return folderFiles(folder).catch((error: NodeJS.ErrnoException) => {
    throw new ConfigError(`The folder ${folder} cannot keep files (${error.code}): set REPORTS_DIR to one that can.`)
  })
}

/**
 * A database that can be reached at `url` until `stop`. `joined` is one that another process serves; `applied` counts
 * the migrations that opening it took.
 */
export type OpenDatabase = {
  url: string
  embedded: boolean
  joined: boolean
  applied: number
  stop(): Promise<void>
}

const elsewhere = { joined: false, applied: 0, stop: async () => {} }

/** How long another process may take to make its database ready, in ms. */
const patience = 60_000

/**
 * The database that the settings name: the server at DATABASE_URL or, without one, the embedded database of the data
 * folder, brought to the newest schema. Where another process has that open, `share` joins it, once it is ready.
 * @throws {ConfigError} where another process has the folder and it is not to be shared
 */
export async function openDatabase(config: Config, { share = false } = {}): Promise<OpenDatabase> {
  if (config.DATABASE_URL) return { ...elsewhere, url: config.DATABASE_URL, embedded: false }
  const folder = config.DATA_DIR
  // Only loaded where it is used: it is large, and production does not install it.
  const [{ FolderInUse, servedAt, startEmbedded }, { migrate }] = await Promise.all([
    import('./db/embedded.ts'),
    import('./db/migrate.ts'),
  ])
  for (const end = Date.now() + patience; Date.now() < end; await setTimeout(100)) {
    try {
      let applied = 0
      const database = await startEmbedded(folder, async (url) => {
        applied = (await migrate(url)).applied
      })
      return { ...database, embedded: true, joined: false, applied }
    } catch (error) {
      if (!(error instanceof FolderInUse)) throw error
      if (!share) break
      const url = await servedAt(folder)
      if (url && (await listens(url))) return { ...elsewhere, url, embedded: true, joined: true }
    }
  }
  throw new ConfigError(
    `The data folder ${folder} is in use by another process of this project. Stop that one first, or set DATA_DIR to another folder.`,
  )
}

/** Whether something listens at `url`. */
export async function listens(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url)
  const socket = createConnection({ host: hostname, port: Number(port) })
  return once(socket, 'connect')
    .then(
      () => true,
      () => false,
    )
    .finally(() => socket.destroy())
}

/** Tells a fault of the settings in a sentence, any other with its stack, and ends the process. */
export function refuseToStart(error: unknown): never {
  process.stderr.write(
    `${error instanceof ConfigError ? error.message : error instanceof Error ? error.stack : String(error)}\n`,
  )
  process.exit(1)
}
