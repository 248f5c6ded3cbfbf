import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { Asset, AssetName, Assets, Coding } from './page.ts'

async function read(name: AssetName): Promise<Record<Coding, Asset>> {
  const body = new Uint8Array(await readFile(fileURLToPath(import.meta.resolve(`swagger-ui-dist/${name}`))))
  const version = createHash('sha256').update(body).digest('base64url')
  const compressed = new Uint8Array(await promisify(gzip)(body))
  return {
    identity: { body, coding: 'identity', version },
    gzip: { body: compressed, coding: 'gzip', version },
  }
}

/** Each file once: whoever asks for one a thousand times at once is sent the same bytes, which are compressed once. */
const held = new Map<AssetName, Promise<Record<Coding, Asset>>>()

/** The files of the installed package. */
export const packageAssets: Assets = async (name, coding) => {
  const asset = held.get(name) ?? read(name)
  held.set(name, asset)
  asset.catch(() => held.delete(name))
  return (await asset)[coding]
}
