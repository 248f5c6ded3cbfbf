import { cpuOf, median } from './load.ts'
import { type SystemName, start, until } from './servers.ts'

/** What each system is first asked: something that it has to ask the database. */
const first = {
  ours: '/readyz',
  bare: '/api/patients/01900000-0000-7000-8000-000000000001',
  fastify: '/api/auth/login',
}
const signIn = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"email":"","password":""}' }

/**
 * The time from the start of a process to its first answer from the database, and what of it was spent on the processor,
 * in ms: medians of `times`, after one that is not counted.
 */
export async function startUp(name: SystemName, database: string, times: number): Promise<{ ms: number; cpu: number }> {
  const [taken, spent]: [number[], number[]] = [[], []]
  for (let time = 0; time <= times; time += 1) {
    const begun = performance.now()
    const server = await start(name, database)
    await until('an answer', async () => {
      const { status } = await fetch(server.url + first[name], name === 'fastify' ? signIn : {})
      return status < 500 || undefined
    })
    if (time > 0) {
      taken.push(performance.now() - begun)
      spent.push((await cpuOf(server.pid)) / 1000)
    }
    await server.stop()
  }
  return { ms: median(taken), cpu: median(spent) }
}
