import { join } from 'node:path'
import postgres from 'postgres'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { migrateDatabase } from '../../src/database/migrate.ts'
import { password } from '../support/api.ts'
import { Load } from '../support/load.ts'
import { Network } from '../support/network.ts'
import { hasPostgres, PostgresServer } from '../support/postgres.ts'
import { ownFolder, Program, send, until } from '../support/program.ts'

/** What a request may take, in ms: 5 s, and something for a machine that has other things to do. */
const atMost = 6000

describe.skipIf(!hasPostgres && !process.env.CI)('Faults of the database under load', async () => {
  const folder = await ownFolder()
  let server: PostgresServer
  let network: Network
  let api: string
  let token: string
  /** Straight to the database, beside the network that breaks. */
  let sql: postgres.Sql

  beforeAll(async () => {
    server = await PostgresServer.make({ max_connections: '15' })
    await server.start()
    await migrateDatabase(server.url)
    network = new Network(server.port)
    await network.open()
    sql = postgres(server.url, { max: 1, onnotice: () => {}, backoff: () => 0.1 })
    const program = new Program(
      '--import',
      {
        PORT: '0',
        DATA_DIR: join(folder, 'data'),
        DATABASE_URL: server.urlThrough(network.port),
        DATABASE_POOL_MAX: '5',
        LOG_LEVEL: 'error',
      },
      ['./src/runtime/node/preload.ts', 'src/runtime/node/main.ts'],
    )
    api = await program.said(/http:\/\/127\.0\.0\.1:\d+/)
    const ada = { name: 'Ada Admin', email: 'ada@example.org', password }
    token = (await send('POST', `${api}/api/auth/register`, ada)).string('access')
  })

  beforeEach(() => until('the service to be ready', async () => (await look('/readyz')) === 200))

  afterAll(async () => {
    await sql?.end({ timeout: 1 })
    await network?.close()
    await server?.remove()
  })

  const look = async (path: string) => (await send('GET', `${api}${path}`)).status

  /** Breaks something under load, mends it once requests are refused, and looks at what became of them. */
  async function survive(
    breakIt: () => Promise<void> | void,
    mend: () => Promise<void> | void,
    { ready = [503] } = {},
  ) {
    const load = new Load(api, token)
    await until('a load', () => load.acknowledged.length >= 20)
    await breakIt()
    const before = load.refused.length
    await until('requests to be refused', () => load.refused.length > before + 6)
    await until(`/readyz to say ${ready.join(' or ')}`, async () => {
      expect(await look('/healthz')).toBe(200)
      return ready.includes(await look('/readyz'))
    })
    await mend()
    const mended = performance.now()
    const after = () => load.acknowledged.find(({ write, sent, ms }) => write && sent + ms > mended)
    await until('the service to be back', () => after() !== undefined)
    const back = (after()?.sent ?? 0) + (after()?.ms ?? 0) - mended
    await load.stop()

    const slowest = Math.max(...load.outcomes.map(({ ms }) => ms))
    expect(load.unanswered).toEqual([])
    expect(slowest).toBeLessThan(atMost)
    expect(back).toBeLessThan(5000)
    expect(new Set(load.refused.map(({ answer }) => answer.status))).toEqual(new Set([503]))
    for (const { answer } of load.refused) expect(answer.headers.get('Retry-After')).toMatch(/^\d+$/)

    const created = load.acknowledged.filter(({ write }) => write).map(({ answer }) => answer.id)
    const kept = await sql`select id from patients where id = any(${created})`
    expect(kept.length).toBe(created.length)
    const told = load.acknowledged.map(({ requestId }) => requestId)
    await until('the trail of what was acknowledged', async () => {
      const [trail] = await sql`select count(*)::int as rows from audit where request_id = any(${told})`
      return trail?.rows >= told.length
    })
    const [trail] = await sql`select count(*)::int as rows from audit where request_id = any(${told})`
    expect(trail?.rows).toBe(told.length)
    return `${load.acknowledged.length} acknowledged, 0 lost, ${load.refused.length} refused, slowest ${slowest.toFixed(0)} ms, back after ${back.toFixed(0)} ms`
  }

  it.for(['SIGINT', 'SIGQUIT'] as const)(
    'no acknowledged write is lost when the database is restarted by %s',
    async (signal, { annotate }) => {
      await annotate(
        await survive(
          () => server.stop(signal),
          () => server.start(),
        ),
      )
    },
  )

  it('no acknowledged write is lost when the database is frozen', async ({ annotate }) => {
    await annotate(
      await survive(
        () => server.signal('SIGSTOP'),
        () => server.signal('SIGCONT'),
      ),
    )
  })

  it('no acknowledged write is lost when the database’s answers stop arriving, on connections that never come back', async ({
    annotate,
  }) => {
    await annotate(
      await survive(
        () => {
          network.mode = 'swallow'
        },
        () => {
          network.mode = 'forward'
        },
      ),
    )
  })

  it('no acknowledged write is lost when the database refuses connections', async ({ annotate }) => {
    await annotate(
      await survive(
        () => network.close(),
        () => network.open(),
      ),
    )
  })

  it('no acknowledged write is lost when the connection is cut before each answer', async ({ annotate }) => {
    await annotate(
      await survive(
        () => {
          network.mode = 'cut'
        },
        () => {
          network.mode = 'forward'
        },
      ),
    )
  })

  it('no acknowledged write is lost when a proxy before the database hangs up on every connection', async ({
    annotate,
  }) => {
    await annotate(
      await survive(
        async () => {
          await network.close()
          network.mode = 'hang up'
          await network.open()
        },
        () => {
          network.mode = 'forward'
        },
      ),
    )
  })

  it('no acknowledged write is lost when the database has no connection left', async ({ annotate }) => {
    const others: postgres.Sql[] = []
    await annotate(
      await survive(
        async () => {
          await network.close()
          for (let full = false; !full; ) {
            const other = postgres(server.url, { max: 1, idle_timeout: 0 })
            others.push(other)
            full = await other`select 1`.then(
              () => false,
              (error: unknown) => error instanceof postgres.PostgresError && error.code === '53300',
            )
          }
          await network.open()
        },
        async () => {
          await Promise.all(others.map((other) => other.end({ timeout: 1 })))
        },
      ),
    )
  })

  it('no acknowledged write is lost when statements wait for a lock until the service stops them', async ({
    annotate,
  }) => {
    const { promise: held, resolve: release } = Promise.withResolvers<void>()
    const other = postgres(server.url, { max: 1 })
    let holding: Promise<unknown> = Promise.resolve()
    const waiting = () => sql`select pid, query_start from pg_stat_activity where wait_event_type = 'Lock'`
    const lock = () =>
      new Promise<void>((locked) => {
        holding = other.begin(async (holder) => {
          await holder`lock table patients in access exclusive mode`
          locked()
          await held
        })
      })
    const unlock = async () => {
      const first = (await waiting()).map((row) => JSON.stringify(row))
      await until('what waits to be stopped', async () =>
        (await waiting()).every((row) => !first.includes(JSON.stringify(row))),
      )
      release()
      await holding
    }
    await annotate(await survive(lock, unlock, { ready: [200, 503] }))
    await other.end()
  })
})
