import { median } from './load.ts'
import { ask, type SystemName, start, until } from './servers.ts'

/** The ms from the start of a process to its first answer from the database: the median of `times`, after one for nothing. */
export async function startUp(name: SystemName, database: string, times: number): Promise<number> {
  const path = name === 'ours' ? '/readyz' : '/api/patients/01900000-0000-7000-8000-000000000001'
  const taken: number[] = []
  for (let time = 0; time <= times; time += 1) {
    const begun = performance.now()
    const server = await start(name, database)
    await until('an answer', () =>
      ask(server, path, '').then(
        () => true,
        () => undefined,
      ),
    )
    if (time > 0) taken.push(performance.now() - begun)
    await server.stop()
  }
  return median(taken)
}
