import { closestMatch } from 'leven'
import * as z from 'zod'
import { parseDatabaseUrl } from './database-url.ts'

/** An empty variable means the same as none: `.dev.vars` and compose files cannot leave one out. */
const emptyToUndefined = (value: unknown) => (value === '' ? undefined : value)
const optionalSetting = <T extends z.ZodType>(schema: T) => z.preprocess(emptyToUndefined, schema.optional())
const wholeNumberSetting = (min: number, max: number, fallback: number) => {
  const error = `must be a whole number from ${min} to ${max}`
  const value = z
    .string({ error })
    .regex(/^\d{1,15}$/, error)
    .transform(Number)
    .pipe(z.int().min(min, error).max(max, error))
  // Workers give numbers of wrangler.toml as such.
  return z.preprocess(
    (given) => (typeof given === 'number' ? String(given) : emptyToUndefined(given)),
    value.default(fallback),
  )
}
const enumSetting = <const T extends readonly [string, ...string[]]>(values: T, fallback: T[number]) =>
  z.preprocess(
    emptyToUndefined,
    z.enum(values, { error: `must be one of ${values.join(', ')}` }).default(() => fallback),
  )
const booleanText = z
  .enum(['true', 'false'], { error: 'must be one of true, false' })
  .transform((value) => value === 'true')
const booleanSetting = (fallback: boolean) => z.preprocess(emptyToUndefined, booleanText.default(fallback))
const textSetting = (fallback: string) => z.preprocess(emptyToUndefined, z.string().default(fallback))
const listSetting = <T extends z.ZodType<string, string>>(item: T) =>
  z
    .preprocess(emptyToUndefined, z.string().default(''))
    .transform((value) =>
      value
        .split(',')
        .map((part) => part.trim())
        .filter(Boolean),
    )
    .pipe(z.array(item))
const secretText = z
  .string({ error: 'is required: set it to at least 32 random bytes, the same on every process' })
  .refine((value) => new TextEncoder().encode(value).length >= 32, 'must be at least 32 bytes long')
const originText = z
  .string()
  .refine((value) => URL.parse(value)?.origin === value, 'must list origins such as https://app.example.org')
// A password with a stray % would only fail when the driver takes the URL apart.
const isDatabaseUrl = (value: string) => parseDatabaseUrl(value) !== undefined && !/%(?![0-9a-f]{2})/i.test(value)
/** What of a server is asked for: that it takes writes (libpq's `target_session_attrs`). */
const asksForWrites = (value: string) =>
  [undefined, 'read-write', 'primary'].includes(parseDatabaseUrl(value)?.targetSessionAttrs)
/** A URL without a host, or with a folder in its place, means a Unix socket to PostgreSQL's own programs (libpq). */
const namesHost = (value: string) => !/^postgres(ql)?:\/\/([^/?]*@)?(\/|\?|%2f[^@]*$|$)|[?&]host=(\/|%2f)/i.test(value)
/** Several may be separated by commas; libpq reads them in the query too. */
const namesHostsInAuthority = (value: string) => !/[?&](host|hostaddr|port)=/i.test(value)
const networkText = z.string().regex(/^[0-9a-f.:]+(\/\d{1,3})?$/i, 'must list addresses or networks such as 10.0.0.0/8')

/** Every setting there is. README.md explains them one by one. */
const Settings = z.object({
  NODE_ENV: enumSetting(['development', 'test', 'production'], 'development'),
  HOST: textSetting('127.0.0.1'),
  PORT: wholeNumberSetting(0, 65_535, 8000),
  DATA_DIR: textSetting('.data'),
  DATABASE_URL: optionalSetting(
    z
      .string()
      .refine(namesHost, { error: 'must name a host: a Unix socket (?host=/…) is not supported', abort: true })
      .refine(namesHostsInAuthority, { error: 'must name its hosts before the name of the database', abort: true })
      .refine(isDatabaseUrl, {
        error: 'must be a URL such as postgres://user:password@host:5432/database',
        abort: true,
      })
      .refine(asksForWrites, 'must ask for a server that takes writes: target_session_attrs=read-write'),
  ),
  DATABASE_POOL_MAX: wholeNumberSetting(1, 200, 10),
  WEB_CONCURRENCY: wholeNumberSetting(1, 64, 1),
  DATABASE_PREPARE: booleanSetting(true),
  DATABASE_TIMEOUT_MS: wholeNumberSetting(500, 60_000, 2000),
  AUDIT_SPOOL_DIR: optionalSetting(z.string()),
  REPORTS_DIR: optionalSetting(z.string()),
  S3_ENDPOINT: optionalSetting(z.url({ protocol: /^https?$/, error: 'must be the URL of an S3 store' })),
  S3_REGION: optionalSetting(z.string()),
  S3_BUCKET: optionalSetting(z.string()),
  S3_ACCESS_KEY_ID: optionalSetting(z.string()),
  S3_SECRET_ACCESS_KEY: optionalSetting(z.string()),
  JWT_SECRET: z.preprocess(emptyToUndefined, secretText),
  JWT_SECRET_PREVIOUS: optionalSetting(secretText),
  JWT_ISSUER: textSetting('hospital-api'),
  JWT_AUDIENCE: textSetting('hospital-api'),
  ACCESS_TOKEN_LIFETIME_MIN: wholeNumberSetting(1, 1440, 30),
  REFRESH_TOKEN_LIFETIME_DAYS: wholeNumberSetting(1, 365, 1),
  SESSION_LIFETIME_DAYS: wholeNumberSetting(1, 3650, 30),
  PASSWORD_MIN_LENGTH: wholeNumberSetting(8, 64, 8),
  LOGIN_FAILURES_PER_ACCOUNT: wholeNumberSetting(1, 1_000_000, 10),
  LOGIN_FAILURES_PER_ADDRESS: wholeNumberSetting(1, 1_000_000, 100),
  LOGIN_FAILURES_WINDOW_MIN: wholeNumberSetting(1, 1440, 15),
  REGISTRATIONS_PER_ADDRESS: wholeNumberSetting(1, 1_000_000, 20),
  REGISTRATIONS_WINDOW_MIN: wholeNumberSetting(1, 1440, 60),
  REQUESTS_PER_ACCOUNT_MIN: wholeNumberSetting(0, 1_000_000_000, 600),
  REQUESTS_PER_ADDRESS_MIN: wholeNumberSetting(0, 1_000_000_000, 120),
  UPLOADS_PER_ACCOUNT_DAY: wholeNumberSetting(0, 1_000_000, 100),
  UPLOAD_MIB_PER_ACCOUNT_DAY: wholeNumberSetting(0, 1_000_000, 500),
  PATIENTS_PER_ACCOUNT_DAY: wholeNumberSetting(0, 1_000_000, 50),
  SESSIONS_PER_ACCOUNT: wholeNumberSetting(0, 1_000_000, 20),
  CALENDAR_FEEDS_PER_ACCOUNT: wholeNumberSetting(0, 1_000_000, 5),
  /** By default true outside production, where strangers can register, and false in it. */
  FIRST_USER_IS_ADMIN: optionalSetting(booleanText),
  REGISTRATION: enumSetting(['open', 'closed'], 'open'),
  TRUST_PROXY: listSetting(networkText),
  CORS_ORIGINS: listSetting(originText),
  LOG_LEVEL: enumSetting(['debug', 'info', 'warn', 'error', 'silent'], 'info'),
  LOG_FORMAT: optionalSetting(z.enum(['json', 'pretty'], { error: 'must be one of json, pretty' })),
  METRICS_TOKEN: optionalSetting(
    z.string().regex(/^[\x21-\x7e]{16,}$/, 'must be at least 16 visible ASCII characters'),
  ),
  GIT_COMMIT: optionalSetting(z.string().regex(/^[0-9a-f]{7,64}$/i, 'must be the id of a commit')),
  OTEL_EXPORTER_OTLP_ENDPOINT: optionalSetting(
    z.url({ protocol: /^https?$/, error: 'must be the URL of a collector' }),
  ),
})

/** The settings, as the environment gives them or by their defaults. */
export type Config = Readonly<z.output<typeof Settings> & { FIRST_USER_IS_ADMIN: boolean }>

/** What a setting is where it is not set. */
export const getDefaultSetting = <Name extends keyof Config>(name: Name) => Settings.shape[name].parse(undefined)

/** Settings that cannot be used. The message names each and says what it must be; it never repeats a value. */
export class ConfigError extends Error {
  override name = 'ConfigError'
}

const s3SettingNames = ['S3_ENDPOINT', 'S3_REGION', 'S3_BUCKET', 'S3_ACCESS_KEY_ID', 'S3_SECRET_ACCESS_KEY']

/**
 * The settings in `source`, checked once and all at once. `keepsFiles` where files are kept as the settings say, and
 * not in a binding.
 * @throws {ConfigError} naming every setting at fault
 */
export function parseConfig(source: Record<string, unknown>, { keepsFiles = false } = {}): Config {
  const result = Settings.safeParse(source)
  const faults = result.error?.issues.map((issue) => `  ${String(issue.path[0])}: ${issue.message}`) ?? []
  if (source.NODE_ENV === 'production' && !source.DATABASE_URL)
    faults.push(
      '  DATABASE_URL: is required in production, where the embedded database is not used: postgres://user:password@host:5432/database',
    )
  if (Number(source.WEB_CONCURRENCY) > 1 && !source.DATABASE_URL)
    faults.push('  WEB_CONCURRENCY: must be 1 without DATABASE_URL: the embedded database serves one process')
  const missing = s3SettingNames.filter((name) => !source[name])
  if (missing.length < s3SettingNames.length)
    for (const name of missing) faults.push(`  ${name}: is required where one of ${s3SettingNames.join(', ')} is set`)
  else if (keepsFiles && source.NODE_ENV === 'production' && !source.REPORTS_DIR)
    faults.push(
      '  REPORTS_DIR: is required in production, where files are not kept in an S3 store: a folder that lasts',
    )
  if (!result.success || faults.length > 0)
    throw new ConfigError(`Some settings need your attention:\n${[...new Set(faults)].join('\n')}`)
  const { FIRST_USER_IS_ADMIN = result.data.NODE_ENV !== 'production' } = result.data
  return { ...result.data, FIRST_USER_IS_ADMIN }
}

/** The beginnings of names that are ours alone. */
const ownSettingPrefix =
  /^(ACCESS_TOKEN|AUDIT|DATABASE|JWT|LOGIN_FAILURES|METRICS|PASSWORD_MIN|REFRESH_TOKEN|REGISTRATIONS|REPORTS|REQUESTS_PER|S3|SESSION_LIFETIME|SESSIONS_PER|UPLOADS?_)_?/
/** Names that others read: OpenTelemetry, npm, wrangler, PostgreSQL's tools, and what makes the database. */
const foreignSettingName = /^(OTEL_|npm_|NODE_|PG|CLOUDFLARE_|WRANGLER_|DATABASE_PASSWORD$|DATABASE_API_PASSWORD$)/
/** So many letters may differ in a name that is taken for a misspelt one. */
const maxMisspeltLetterCount = 2
const minComparedLength = 7

/**
 * The variables of `source` that look like settings of ours and are none, and what each may have been meant to be. Those of
 * others are left alone. Never their values.
 */
export function findMisspeltSettings(source: Record<string, unknown>): string[] {
  const known = Object.keys(Settings.shape)
  return Object.entries(source).flatMap(([name, value]) => {
    if (typeof value !== 'string' || known.includes(name) || foreignSettingName.test(name)) return []
    const nearest = closestMatch(name, known, { maxDistance: maxMisspeltLetterCount })
    if (nearest !== undefined && name.length >= minComparedLength)
      return [`${name} is no setting, and is not read: is ${nearest} meant?`]
    return ownSettingPrefix.test(name) ? [`${name} is no setting, and is not read.`] : []
  })
}
