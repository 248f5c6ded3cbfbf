import { type Config, getDefaultSetting } from '../config.ts'
import { Problem } from './problem.ts'

/** What each limit of use counts, by its setting. Whoever reaches one is told in these words, and so is the OpenAPI document. */
const usageLimits = {
  REQUESTS_PER_ACCOUNT_MIN: 'requests a minute of one account',
  REQUESTS_PER_ADDRESS_MIN: 'requests a minute without a valid access token from one address',
  UPLOADS_PER_ACCOUNT_DAY: 'reports uploaded a day by one account',
  UPLOAD_MIB_PER_ACCOUNT_DAY: 'MiB uploaded a day by one account',
  PATIENTS_PER_ACCOUNT_DAY: 'patients added a day by one account of role patient',
  SESSIONS_PER_ACCOUNT: 'sessions of one account, of which a further sign-in ends the oldest',
  CALENDAR_FEEDS_PER_ACCOUNT: 'calendar feeds of one account, of doctors and of patients each',
} as const satisfies Partial<Record<keyof Config, string>>

/** A setting that limits use. */
export type UsageLimitSetting = keyof typeof usageLimits

const isUsageLimitSetting = (name: string): name is UsageLimitSetting => name in usageLimits

/** All of these settings. */
export const usageLimitSettings = Object.keys(usageLimits).filter(isUsageLimitSetting)

/** A limit as it is by default, and its setting, in Markdown. */
export const describeDefaultLimit = (name: UsageLimitSetting): string =>
  `${getDefaultSetting(name)} ${usageLimits[name]} (\`${name}\`)`

/** So many seconds in words. */
const formatSeconds = (seconds: number): string => {
  const [count, unit] =
    seconds < 120
      ? [seconds, 'second']
      : seconds < 7200
        ? [Math.ceil(seconds / 60), 'minute']
        : [Math.ceil(seconds / 3600), 'hour']
  return `${count} ${unit}${count === 1 ? '' : 's'}`
}

/** The refusal of what is beyond a limit until so many seconds have passed, or something else is done. */
export const limitExceededProblem = (
  config: Config,
  name: UsageLimitSetting,
  seconds: number,
  remedy = `Try again in ${formatSeconds(seconds)}.`,
): Problem =>
  new Problem('too-many-requests', {
    detail: `The limit is ${config[name]} ${usageLimits[name]}. ${remedy}`,
    headers: { 'Retry-After': String(seconds) },
  })
