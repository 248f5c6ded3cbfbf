import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

type Node = { id: number; callFrame: { functionName: string; url: string; lineNumber: number } }
type Profile = { nodes: Node[]; samples: number[]; timeDeltas: number[] }

const root = new URL('..', import.meta.url).href

/** A package, a folder of ours, or Node itself. */
const homeOf = (url: string): string => {
  const [, name] = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url) ?? []
  if (name) return name
  return /\/(src\/[^/]+)/.exec(url)?.[1] ?? (url.startsWith('node:') ? 'node' : 'V8')
}

const top = (spent: Map<string, number>, total: number, count: number): string[] =>
  [...spent]
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, count)
    .map(([name, time]) => `${((time / total) * 100).toFixed(1).padStart(6)} %  ${name}`)

/** Where the time of the processor went, of the newest profile in `folder`: by package and by function, without idling. */
export async function profileOf(folder: string): Promise<string> {
  const [file] = (await readdir(folder))
    .filter((name) => name.endsWith('.cpuprofile'))
    .toSorted()
    .toReversed()
  if (!file) return `no profile in ${folder}`
  const { nodes, samples, timeDeltas }: Profile = JSON.parse(await readFile(join(folder, file), 'utf8'))
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const [homes, functions] = [new Map<string, number>(), new Map<string, number>()]
  let total = 0
  for (const [at, id] of samples.entries()) {
    const frame = byId.get(id)?.callFrame
    const time = timeDeltas[at] ?? 0
    if (!frame || frame.functionName === '(idle)' || frame.functionName === '(root)') continue
    total += time
    const home = frame.functionName.startsWith('(') ? frame.functionName : homeOf(frame.url)
    homes.set(home, (homes.get(home) ?? 0) + time)
    const place = `${frame.functionName || '(anonymous)'}  ${frame.url.replace(root, '')}:${frame.lineNumber + 1}`
    functions.set(place, (functions.get(place) ?? 0) + time)
  }
  return [`${join(folder, file)}`, ...top(homes, total, 15), '', ...top(functions, total, 30)].join('\n')
}
