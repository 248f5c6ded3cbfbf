import * as z from 'zod'

const weekdays = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const
const startTimeField = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'must be a time such as 09:00')
const endTimeField = z
  .string()
  .regex(/^(([01]\d|2[0-3]):[0-5]\d|24:00)$/, 'must be a time such as 17:00, at most 24:00')

const isTimeText = (text: string) => /^\d\d:\d\d$/.test(text)

const workingSpanField = z
  .strictObject({ day: z.enum(weekdays), from: startTimeField, to: endTimeField })
  .refine((value) => !isTimeText(value.from) || !isTimeText(value.to) || value.from < value.to, {
    error: 'must be after from',
    path: ['to'],
  })

/** Spans of the week in which a doctor can be booked. Touching ones are fine, overlapping ones are not. */
export const workingHoursField = z
  .array(workingSpanField)
  .max(100)
  .superRefine((spans, ctx) => {
    const order = spans
      .map((value, index) => ({ ...value, index }))
      .sort((a, b) => a.day.localeCompare(b.day) || a.from.localeCompare(b.from))
    order.forEach((value, i) => {
      const before = order[i - 1]
      if (before?.day === value.day && value.from < before.to)
        ctx.addIssue({ code: 'custom', path: [value.index], message: `overlaps ${before.from}–${before.to}` })
    })
  })
/** When a doctor can be booked: ranges of local times for each day of the week. */
export type WorkingHours = z.output<typeof workingHoursField>

/** The zone's name in its usual case; undefined where Intl knows none of that name. */
const resolveTimeZone = (name: string): string | undefined => {
  try {
    const { timeZone } = new Intl.DateTimeFormat('en', { timeZone: name }).resolvedOptions()
    // An alias is kept as it is: which of two names is the canonical one differs between engines.
    return timeZone.toLowerCase() === name.toLowerCase() ? timeZone : name
  } catch {
    return undefined
  }
}

/** An IANA time zone by name; an offset such as `+02:00`, which Intl would take, is none. */
export const timeZoneField = z.string().transform((name, ctx) => {
  const zone = /^[A-Za-z][\w+/-]{0,63}$/.test(name) ? resolveTimeZone(name) : undefined
  if (zone !== undefined) return zone
  ctx.addIssue({ code: 'custom', message: 'must be an IANA time zone such as Europe/Berlin' })
  return z.NEVER
})
