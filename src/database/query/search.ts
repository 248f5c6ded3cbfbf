import { type AnyColumn, sql } from 'drizzle-orm'

/** Text as people compare names: without case and accents. In byte order, which no upgrade of an operating system changes. */
export const foldedText = (column: AnyColumn) => sql`(fold(${column}) collate "C")`

/**
 * The row's folded `search` text holds the parameter `q`, taken literally. A rare text is found by its trigrams, a common
 * one by walking the list: a statement with this in it has no name, so that PostgreSQL plans it for each text anew.
 */
export const matchesSearch = (search: AnyColumn) => sql`${search} like containing(fold(${sql.placeholder('q')}))`

/** The row's phone number holds the digits of `q`. Asked only where `q` is nothing but a phone number's characters. */
export const phoneContains = (phone: AnyColumn) => sql`${phone} like containing(${sql.placeholder('digits')})`

/** `q` as it may stand in a phone number, or undefined where it is no part of one. */
export const toPhoneDigits = (q: string | undefined): string | undefined =>
  q && /^[+\d\s.\-()[\]]*\d[\d\s.\-()[\]]*$/.test(q) ? q.replace(/[^+\d]/g, '') : undefined
