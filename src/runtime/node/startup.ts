import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { type Config, ConfigError, parseConfig } from '../../config.ts'
import type { ListableFileStore } from '../../context.ts'

/** The secret kept in `folder`, made the first time. It is whole or not there, and never made twice. */
async function readOrCreateSecret(folder: string): Promise<string> {
  const file = join(folder, 'jwt-secret')
  const existing = await readFile(file, 'utf8').catch(() => '')
  if (existing) return existing
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const newFile = `${file}.${process.pid}`
  await writeFile(newFile, randomBytes(48).toString('base64url'), { mode: 0o600, flush: true })
  await link(newFile, file).catch(() => {})
  await rm(newFile)
  return readFile(file, 'utf8')
}

/**
 * The settings of this process. Outside production a missing JWT_SECRET is made once and kept in the data folder.
 * @throws {ConfigError}
 */
export async function loadConfig(source: NodeJS.ProcessEnv): Promise<Config> {
  const makesSecret = !source.JWT_SECRET && source.NODE_ENV !== 'production'
  const JWT_SECRET = makesSecret ? await readOrCreateSecret(source.DATA_DIR || '.data') : source.JWT_SECRET
  return parseConfig({ ...source, JWT_SECRET }, { keepsFiles: true })
}

/**
 * The settings of a command, which signs no token: a JWT_SECRET is none of its business, and none is made.
 * @throws {ConfigError}
 */
export const parseCommandConfig = (source: NodeJS.ProcessEnv, { keepsFiles = false } = {}): Config => {
  const secrets = { JWT_SECRET: randomBytes(32).toString('base64url'), JWT_SECRET_PREVIOUS: undefined }
  return parseConfig({ ...source, ...secrets }, { keepsFiles })
}

/**
 * Where the settings say that files are kept: in a store that speaks S3, or in a folder.
 * @throws {ConfigError} where the folder cannot be used
 */
export async function openFileStore(config: Config): Promise<ListableFileStore> {
  if (config.S3_ENDPOINT) {
    const { createS3FileStore } = await import('../../features/reports/file-store.s3.ts')
    return createS3FileStore({
      endpoint: config.S3_ENDPOINT,
      region: config.S3_REGION ?? '',
      bucket: config.S3_BUCKET ?? '',
      accessKeyId: config.S3_ACCESS_KEY_ID ?? '',
      secretAccessKey: config.S3_SECRET_ACCESS_KEY ?? '',
    })
  }
  const { createFolderFileStore } = await import('../../features/reports/file-store.folder.ts')
  const folder = config.REPORTS_DIR ?? join(config.DATA_DIR, 'reports')
  return createFolderFileStore(folder).catch((error: NodeJS.ErrnoException) => {
    throw new ConfigError(`The folder ${folder} cannot keep files (${error.code}): set REPORTS_DIR to one that can.`)
  })
}

/**
 * A database that can be reached at `url` until `stop`. `isJoined` is one that another process serves; `appliedCount` counts
 * the migrations that opening it took.
 */
export type OpenedDatabase = {
  url: string
  isEmbedded: boolean
  isJoined: boolean
  appliedCount: number
  stop(): Promise<void>
}

const externalDatabase = { isJoined: false, appliedCount: 0, stop: async () => {} }

/** How long another process may take to make its database ready, in ms. */
const joinTimeoutMs = 60_000

/**
 * The database that the settings name: the server at DATABASE_URL or, without one, the embedded database of the data
 * folder, brought to the newest schema. Where another process has that open, `share` joins it, once it is ready.
 * @throws {ConfigError} where another process has the folder and it is not to be shared
 */
export async function openDatabase(config: Config, { share = false } = {}): Promise<OpenedDatabase> {
  if (config.DATABASE_URL) return { ...externalDatabase, url: config.DATABASE_URL, isEmbedded: false }
  const folder = config.DATA_DIR
  // Only loaded where it is used: it is large, and production does not install it.
  const [{ FolderInUseError, readServedUrl, startEmbeddedDatabase }, { migrateDatabase }] = await Promise.all([
    import('../../database/embedded/pglite.ts'),
    import('../../database/migrate.ts'),
  ])
  for (const end = Date.now() + joinTimeoutMs; Date.now() < end; await setTimeout(100)) {
    try {
      let appliedCount = 0
      const database = await startEmbeddedDatabase(folder, async (url) => {
        appliedCount = (await migrateDatabase(url)).appliedCount
      })
      return { ...database, isEmbedded: true, isJoined: false, appliedCount }
    } catch (error) {
      if (!(error instanceof FolderInUseError)) throw error
      if (!share) break
      const url = await readServedUrl(folder)
      if (url && (await isListening(url))) return { ...externalDatabase, url, isEmbedded: true, isJoined: true }
    }
  }
  throw new ConfigError(
    `The data folder ${folder} is in use by another process of this project. Stop that one first, or set DATA_DIR to another folder.`,
  )
}

/** Whether something listens at `url`. */
export async function isListening(url: string): Promise<boolean> {
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
export function exitWithError(error: unknown): never {
  process.stderr.write(
    `${error instanceof ConfigError ? error.message : error instanceof Error ? error.stack : String(error)}\n`,
  )
  process.exit(1)
}
