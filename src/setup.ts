import { randomBytes } from 'node:crypto'
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Config, ConfigError, readConfig } from './config.ts'

/** Where the embedded database of a folder is served while a process has it open. */
const addressFile = (folder: string) => join(folder, 'database-url')

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
  return readConfig(makesSecret ? { ...source, JWT_SECRET: await keptSecret(source.DATA_DIR || '.data') } : source)
}

/** A database that can be reached at `url` until `stop`. */
export type OpenDatabase = { url: string; embedded: boolean; stop(): Promise<void> }

/**
 * The database that the settings name: the server at DATABASE_URL or, without one, the embedded database of the data
 * folder, brought to the newest schema. Where another process has that open, `share` joins it.
 * @throws {ConfigError} where another process has the folder and it is not to be shared
 */
export async function openDatabase(config: Config, { share = false, port = 0 } = {}): Promise<OpenDatabase> {
  if (config.DATABASE_URL) return { url: config.DATABASE_URL, embedded: false, stop: async () => {} }
  const folder = config.DATA_DIR
  // Only loaded where it is used: it is large, and production does not install it.
  const [{ FolderInUse, startEmbedded }, { migrate }] = await Promise.all([
    import('./db/embedded.ts'),
    import('./db/migrate.ts'),
  ])
  try {
    const database = await startEmbedded(folder, port)
    await migrate(database.url, { alone: true })
    await writeFile(addressFile(folder), database.url, { mode: 0o600 })
    return { ...database, embedded: true }
  } catch (error) {
    if (!(error instanceof FolderInUse)) throw error
    if (share) return { url: await readFile(addressFile(folder), 'utf8'), embedded: true, stop: async () => {} }
    throw new ConfigError(
      `The data folder ${folder} is in use by another process of this project. Stop that one first, or set DATA_DIR to another folder.`,
    )
  }
}

/** Tells a fault of the settings in a sentence, any other with its stack, and ends the process. */
export function refuseToStart(error: unknown): never {
  process.stderr.write(
    `${error instanceof ConfigError ? error.message : error instanceof Error ? error.stack : String(error)}\n`,
  )
  process.exit(1)
}
