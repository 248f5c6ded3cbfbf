import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { Coding, DocsAsset, DocsAssetName, DocsAssets } from '../context.ts'

async function readAsset(name: DocsAssetName): Promise<Record<Coding, DocsAsset>> {
  const body = new Uint8Array(await readFile(fileURLToPath(import.meta.resolve(`swagger-ui-dist/${name}`))))
  const version = createHash('sha256').update(body).digest('base64url')
  const compressed = new Uint8Array(await promisify(gzip)(body))
  return {
    identity: { body, coding: 'identity', version },
    gzip: { body: compressed, coding: 'gzip', version },
  }
}

/** Each file once: whoever asks for one a thousand times at once is sent the same bytes, which are compressed once. */
const assetCache = new Map<DocsAssetName, Promise<Record<Coding, DocsAsset>>>()

/** The files of the installed package. */
export const readPackageAsset: DocsAssets = async (name, coding) => {
  const asset = assetCache.get(name) ?? readAsset(name)
  assetCache.set(name, asset)
  asset.catch(() => assetCache.delete(name))
  return (await asset)[coding]
}
