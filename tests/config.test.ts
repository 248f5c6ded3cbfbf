import { describe, expect, it } from 'vitest'
import { findMisspeltSettings, parseConfig } from '../src/config.ts'
import { secret, world } from './support/api.ts'

const good = { JWT_SECRET: secret }
const production = { ...good, NODE_ENV: 'production', DATABASE_URL: 'postgres://u:p@127.0.0.1/d' }
const faultsOf = (settings: Record<string, unknown>) => {
  try {
    parseConfig({ ...good, ...settings })
    return ''
  } catch (error) {
    return error instanceof Error ? error.message : ''
  }
}

describe('Settings that cannot be used', () => {
  it.each([
    ['PORT', '99999', 'must be a whole number from 0 to 65535'],
    ['PORT', '-1', 'must be a whole number from 0 to 65535'],
    ['PORT', '80.5', 'must be a whole number from 0 to 65535'],
    ['PORT', '0x50', 'must be a whole number from 0 to 65535'],
    ['PORT', ' ', 'must be a whole number from 0 to 65535'],
    ['WEB_CONCURRENCY', '0', 'must be a whole number from 1 to 64'],
    ['DATABASE_TIMEOUT_MS', 'soon', 'must be a whole number from 500 to 60000'],
    ['REGISTRATION', 'Open', 'must be one of open, closed'],
    ['FIRST_USER_IS_ADMIN', 'TRUE', 'must be one of true, false'],
    ['DATABASE_PREPARE', 'no', 'must be one of true, false'],
    ['LOG_FORMAT', 'text', 'must be one of json, pretty'],
    ['DATABASE_URL', 'postgres:///hospital?host=/var/run/postgresql', 'must name a host: a Unix socket'],
    ['DATABASE_URL', 'postgres://u@/hospital?host=/var/run/postgresql', 'must name a host: a Unix socket'],
    ['DATABASE_URL', 'postgres://h/d?host=%2Frun', 'must name a host: a Unix socket'],
    ['DATABASE_URL', 'postgres://u:p@%2Fvar%2Frun%2Fpostgresql/hospital', 'must name a host: a Unix socket'],
    ['DATABASE_URL', 'postgres://one,/hospital', 'must be a URL'],
    ['DATABASE_URL', 'postgres://one:5432,two:x/hospital', 'must be a URL'],
    ['DATABASE_URL', 'postgres://one/hospital?host=two', 'must name its hosts before'],
    ['DATABASE_URL', 'postgres://one,two/d?target_session_attrs=standby', 'must ask for a server that takes writes'],
    ['JWT_SECRET', 'short', 'must be at least 32 bytes long'],
  ])('the setting %s=%j is refused, and the message says what it must be', (name, value, message) => {
    const faults = faultsOf({ [name]: value })
    expect(faults).toContain(`${name}: ${message}`)
    expect(faults.split('\n')).toHaveLength(2)
  })

  it('the URL of a database is taken with a comma and a slash in its password', () => {
    const url = 'postgresql://u:a,b%2Fc%2Cd@db.example.org/hospital?sslmode=verify-full'
    expect(parseConfig({ ...good, DATABASE_URL: url }).DATABASE_URL).toBe(url)
  })

  it('a setting that is blank, or a number of wrangler.toml, is taken', () => {
    expect(parseConfig({ ...good, PORT: '', WEB_CONCURRENCY: '1', PASSWORD_MIN_LENGTH: 12 })).toMatchObject({
      PORT: 8000,
      PASSWORD_MIN_LENGTH: 12,
    })
  })
})

describe('Variables that look like settings', () => {
  it.each([
    ['WEB_CONCURENCY', 'WEB_CONCURENCY is no setting, and is not read: is WEB_CONCURRENCY meant?'],
    ['METRIC_TOKEN', 'METRIC_TOKEN is no setting, and is not read: is METRICS_TOKEN meant?'],
    ['TRUST_PROXYS', 'TRUST_PROXYS is no setting, and is not read: is TRUST_PROXY meant?'],
    ['JWT_KEY', 'JWT_KEY is no setting, and is not read.'],
    ['DATABASE_HOST', 'DATABASE_HOST is no setting, and is not read.'],
  ])('the variable %s is named, without its value', (name, sentence) => {
    expect(findMisspeltSettings({ [name]: 'planted' })).toEqual([sentence])
  })

  it('no variable of another program and no setting is named', () => {
    const others = ['PATH', 'HOME', 'HOSTNAME', 'PORTS', 'PGHOST', 'OTEL_SERVICE_NAME', 'npm_config_registry', 'LANG']
    const ours = ['PORT', 'DATABASE_URL', 'DATABASE_PASSWORD', 'S3_BUCKET', 'AUDIT_SPOOL_DIR']
    expect(findMisspeltSettings(Object.fromEntries([...others, ...ours].map((name) => [name, 'x'])))).toEqual([])
    expect(findMisspeltSettings({ METRIC_TOKEN: {} })).toEqual([])
  })
})

describe('Settings in production', async () => {
  const { api, admin } = await world()

  it('the first to register is no administrator, unless the settings say so', () => {
    expect(parseConfig(good).FIRST_USER_IS_ADMIN).toBe(true)
    expect(parseConfig(production).FIRST_USER_IS_ADMIN).toBe(false)
    expect(parseConfig({ ...production, FIRST_USER_IS_ADMIN: 'true' }).FIRST_USER_IS_ADMIN).toBe(true)
    expect(parseConfig({ ...good, FIRST_USER_IS_ADMIN: 'false' }).FIRST_USER_IS_ADMIN).toBe(false)
  })

  it('metrics are shown only with the METRICS_TOKEN, and not at all where none is set', async () => {
    const config = { ...api.env.config, NODE_ENV: 'production' } as const
    const ask = (more: object, token?: string) =>
      api.send('GET', '/metrics', undefined, { token, env: { config: { ...config, ...more } } })
    expect((await ask({})).status).toBe(404)
    expect((await ask({}, admin.access)).status).toBe(404)
    const METRICS_TOKEN = 'a token of operators'.replaceAll(' ', '-')
    expect((await ask({ METRICS_TOKEN })).status).toBe(401)
    expect((await ask({ METRICS_TOKEN }, METRICS_TOKEN)).status).toBe(200)
  })
})
