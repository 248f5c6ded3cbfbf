import { expect } from 'vitest'
import type { Answer } from './support/api.ts'

/** What must never be told: a stack, a file of ours or of a package, a statement, a driver's message. */
const inside =
  /node_modules|\.ts:\d|\bat \w+ \(|\b(select|insert into|update|delete from) ("|\w+ (from|set)\b)|PostgresError|Drizzle|Failed query/i

const fault = { path: expect.any(String), message: expect.stringMatching(/./), code: expect.stringMatching(/./) }

/** Expects what every answer has and, of an error, that it is an RFC 9457 problem as the contract tells it. */
export function expectWellFormed(answer: Answer, method = 'GET') {
  const { status, headers } = answer
  const requestId = headers.get('X-Request-Id')
  expect(status, answer.text.slice(0, 500)).toBeLessThan(500)
  expect(requestId).toMatch(/^[A-Za-z0-9._-]{1,128}$/)
  expect(headers.get('X-Content-Type-Options')).toBe('nosniff')
  expect(headers.get('Content-Security-Policy')).toContain("default-src 'none'")
  if (status === 401) expect(headers.get('WWW-Authenticate')).toBe('Bearer')
  if (status === 405) expect(headers.get('Allow')).toMatch(/^[A-Z]+(, ?[A-Z]+)*$/)
  if (status === 429) expect(headers.get('Retry-After')).toMatch(/^[1-9]\d*$/)
  if (method === 'HEAD') expect(answer.text).toBe('')
  else if (status >= 400) {
    expect(headers.get('Content-Type')).toBe('application/problem+json')
    expect(answer.body).toEqual({
      type: expect.stringMatching(/^\/problems\/[a-z]+(-[a-z]+)*$/),
      title: expect.stringMatching(/./),
      status,
      instance: requestId,
      detail: expect.any(String),
      ...(status === 400 && { errors: expect.any(Array) }),
    })
    if (status === 400) {
      const errors = answer.list('errors')
      expect(errors.length).toBeGreaterThan(0)
      for (const error of errors) expect(error).toEqual(fault)
    }
    const messages = status === 400 ? answer.each('message', 'errors') : []
    expect([answer.at('title'), answer.at('detail'), ...messages].join('\n')).not.toMatch(inside)
  }
}

/** Expects an error of this status and, where `faults` are given, of exactly these fields, once or more each. */
export function expectProblem(answer: Answer, status: number, faults?: string[]) {
  expect(answer.status, answer.text.slice(0, 500)).toBe(status)
  expectWellFormed(answer)
  if (faults) expect([...new Set(answer.faults)]).toEqual(faults)
}
