import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import newman, { type NewmanRunSummary } from 'newman'
import { expect, it } from 'vitest'
import { buildApiWalk, buildPostmanCollection } from '../../src/cli/postman/collection.ts'
import { at, document, expectDocumented } from '../support/documented.ts'
import { ownFolder, Program } from '../support/program.ts'

const folder = await ownFolder()
const file = 'docs/hospital.postman_collection.json'
const walk = buildApiWalk(document)

it('the collection is what npm run postman makes', async () => {
  expect(JSON.parse(await readFile(file, 'utf8'))).toEqual(buildPostmanCollection(document))
})

it('the collection asks for every operation', () => {
  const all = Object.values(document.paths).flatMap((methods) =>
    Object.values(methods).map((each) => at(each, 'operationId')),
  )
  expect(new Set(walk.map(({ id }) => id))).toEqual(new Set(all))
})

const run = (baseUrl: string) =>
  new Promise<NewmanRunSummary>((resolve, reject) => {
    newman.run(
      { collection: join(process.cwd(), file), envVar: [{ key: 'baseUrl', value: baseUrl }] },
      (error, summary) => (error ? reject(error) : resolve(summary)),
    )
  })

it('newman walks through the whole API with it, and may again', async () => {
  const server = new Program('src/runtime/node/main.ts', {
    PORT: '0',
    DATA_DIR: join(folder, 'data'),
    LOG_LEVEL: 'warn',
  })
  const url = await server.said(/http:\/\/127\.0\.0\.1:\d+/)
  for (const _ of ['first', 'again']) {
    const summary = await run(url)
    const failed = summary.run.failures.map(({ source, error }) => `${source?.name}: ${error.message}`)
    expect(failed).toEqual([])
    expect(summary.run.executions).toHaveLength(walk.length)
    for (const { request, response } of summary.run.executions) {
      const headers = new Headers(response.headers.map(({ key, value }): [string, string] => [key, value]))
      const text = response.text() ?? ''
      const json = /json/.test(headers.get('Content-Type') ?? '')
      expectDocumented(
        request.method,
        request.url.toString(),
        response.code,
        headers,
        json ? JSON.parse(text) : undefined,
      )
    }
  }
}, 120_000)
