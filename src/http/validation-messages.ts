import * as z from 'zod'

const typeNames: Record<string, string> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
}
const formatNames: Record<string, string> = {
  date: 'a day such as 2026-12-01',
  datetime: 'a moment such as 2026-12-01T09:00:00Z',
  email: 'an e-mail address such as name@example.org',
  uuid: 'a UUID',
}
const sizeUnits: Record<string, string> = { string: ' characters', array: ' entries' }

const formatSize = (limit: number | bigint, origin: string) => `${limit}${sizeUnits[origin] ?? ''}`

/** What a fault is called where the schema itself has no words for it: the end of a sentence that begins with the field. */
function describeIssue(issue: z.core.$ZodRawIssue): string | undefined {
  if (issue.code === 'invalid_type' && issue.input === undefined) return 'is required'
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${typeNames[issue.expected] ?? issue.expected}`
    case 'invalid_value':
      if (issue.input === undefined) return 'is required'
      return `must be ${issue.values.length > 1 ? 'one of ' : ''}${issue.values.join(', ')}`
    case 'too_small':
      return `must have at least ${formatSize(issue.minimum, issue.origin)}`.replace(/have (?=at least -?\d+$)/, 'be ')
    case 'too_big':
      return `must have at most ${formatSize(issue.maximum, issue.origin)}`.replace(/have (?=at most -?\d+$)/, 'be ')
    case 'invalid_format':
      return `must be ${formatNames[issue.format] ?? `of the form ${issue.format}`}`
    case 'unrecognized_keys':
      return 'is not a known field'
    default:
      return undefined
  }
}

// One for all schemas: what clients are told is the same in every route.
z.config({ customError: describeIssue })
