import { defineConfig } from 'vitest/config'

// Races and several processes need a server that runs statements at once; the embedded database runs one after the other.
// Other programs bring the database with them.
const onServer = process.env.TEST_DATABASE_URL !== undefined

const forServers = ['tests/races/**', 'tests/faults/**', 'tests/runtimes/cluster.test.ts']

export default defineConfig({
  test: {
    include: ['tests/**/*.test.ts'],
    exclude: onServer ? ['tests/runtimes/!(cluster).test.ts'] : forServers,
    globalSetup: 'tests/support/database.ts',
    pool: 'forks',
    // Files wait more than they compute: for programs, databases and clocks.
    maxWorkers: '100%',
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
})
