import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Asset, AssetName, Assets } from './page.ts'

async function read(name: AssetName): Promise<Asset> {
  const body = new Uint8Array(await readFile(fileURLToPath(import.meta.resolve(`swagger-ui-dist/${name}`))))
  return { body, version: createHash('sha256').update(body).digest('base64url') }
}

/** Each file once: whoever asks for one a thousand times at once is sent the same bytes. */
const held = new Map<AssetName, Promise<Asset>>()

/** The files of the installed package. */
export const packageAssets: Assets = (name) => {
  const asset = held.get(name) ?? read(name)
  held.set(name, asset)
  asset.catch(() => held.delete(name))
  return asset
}
