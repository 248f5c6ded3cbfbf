import * as z from 'zod'
import './validation-messages.ts'

/** More marks in a row than any language writes (UAX #15, "Stream-Safe Text Format"). */
const tooManyMarksPattern = /\p{M}{31}/u

/**
 * Text that can be brought into NFC at once: marks in a row are sorted, in a time that grows with the square of how many
 * there are, and 64 KiB of them would keep everybody else waiting for most of a second.
 */
export const normalizableText = z.string().refine((value) => !tooManyMarksPattern.test(value), {
  error: 'must not have more than 30 marks in a row',
  abort: true,
})

/** PostgreSQL stores no NUL, UTF-8 no lone surrogate: they would fail, or turn two values into one. */
const storableText = normalizableText.refine((value) => value.isWellFormed() && !value.includes('\0'), {
  error: 'must not contain NUL or half a surrogate pair',
  abort: true,
})

const countCodePoints = (value: string) => (value.length < 2 ? value.length : [...value].length)

/** Counts characters as a reader would (code points), unlike `.max()`, which counts UTF-16 units. */
const maxCodePoints = (max: number) => (ctx: z.core.ParsePayload<string>) => {
  if (ctx.value.length > max && countCodePoints(ctx.value) > max)
    ctx.issues.push({
      code: 'too_big',
      origin: 'string',
      maximum: max,
      input: ctx.value,
      message: `must be at most ${max} characters long`,
    })
}

/** Text of 1 to `max` characters, trimmed, in Unicode NFC. */
export const textField = (max: number) =>
  storableText.trim().normalize('NFC').min(1, 'must not be blank').check(maxCodePoints(max)).meta({ maxLength: max })

/** An optional field: null clears it, and so does a blank string. */
export const optionalField = <T extends z.ZodType>(schema: T) =>
  z.preprocess((value) => (typeof value === 'string' && value.trim() === '' ? null : value), schema.nullable())

/** An e-mail address of at most 254 characters, lower-cased. */
export const emailField = storableText
  .trim()
  .toLowerCase()
  .max(254, 'must be at most 254 characters long')
  .check(z.email())

/** A password as typed: NFC, never trimmed. What it may be is checked where one is set. */
export const passwordField = storableText.normalize('NFC').min(1).check(maxCodePoints(256)).meta({ maxLength: 256 })

/** A token of ours. */
export const tokenField = storableText.min(1).max(2000)

/** The id of a record, a UUID in lower case. */
export const idField = z.uuid().toLowerCase()

/** E.164, after spaces, dots, dashes and brackets are taken out. */
export const phoneField = storableText
  .transform((value) => value.replace(/[\s.\-()[\]]/g, ''))
  .pipe(z.string().regex(/^\+[1-9]\d{1,14}$/, 'must be an international number that begins with +'))
  .meta({ description: 'E.164. Spaces, dots, dashes and brackets are taken out.' })

/** How far the time of day is ahead of UTC where it is furthest (Pacific/Kiritimati), in ms. */
const maxUtcOffsetMs = 14 * 60 * 60 * 1000
const getLatestToday = () => new Date(Date.now() + maxUtcOffsetMs).toISOString().slice(0, 10)

/** A day from 1900-01-01 to today, wherever on Earth it is today already. */
export const pastDateField = z.iso
  .date()
  .refine((day) => day >= '1900-01-01', 'must not be before 1900')
  .refine((day) => day <= getLatestToday(), 'must not be in the future')

/** A path's `{id}`. */
export const IdParam = z.object({ id: idField })

/** A moment (RFC 3339) of the years 1 to 9999 (UTC) with any offset, as ISO text in UTC. */
export const instantField = z.iso
  .datetime({ offset: true, error: 'must be a moment such as 2026-12-01T09:00:00Z, with an offset' })
  .transform((value) => new Date(value).toISOString())
  .refine((value) => /^(?!0000)\d{4}-/.test(value), 'must be in the years 1 to 9999')
