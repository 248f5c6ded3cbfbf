import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { app } from '../src/app.ts'
import { PasswordQueue, usesPassword } from '../src/runtime/worker/password-queue.ts'

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

/** Asks for so many turns, and keeps each that it gets. */
function crowd(many: number) {
  const turns = new PasswordQueue()
  const had: (() => void)[] = []
  const refused: unknown[] = []
  for (let i = 0; i < many; i += 1)
    void turns.waitForTurn().then(
      (giveBack) => had.push(giveBack),
      (problem) => refused.push(problem),
    )
  return { had, refused }
}

it('four requests of an isolate take their passwords on at once, the others as those are answered', async () => {
  const { had } = crowd(6)
  await vi.advanceTimersByTimeAsync(1000)
  expect(had).toHaveLength(4)
  had[2]?.()
  await vi.advanceTimersByTimeAsync(1000)
  expect(had).toHaveLength(5)
})

it('requests that were cancelled hold up others for ten seconds at most', async () => {
  const { had } = crowd(6)
  await vi.advanceTimersByTimeAsync(9000)
  expect(had).toHaveLength(4)
  await vi.advanceTimersByTimeAsync(2000)
  expect(had).toHaveLength(6)
})

it('a request that has waited for half a minute, or is behind a thousand others, is a 503', async () => {
  const { had, refused } = crowd(1010)
  await vi.advanceTimersByTimeAsync(0)
  expect([had.length, refused.length]).toEqual([4, 6])
  await vi.advanceTimersByTimeAsync(35_000)
  expect(had.length + refused.length).toBe(1010)
  expect(refused).toContainEqual(expect.objectContaining({ type: 'unavailable' }))
})

it.each([
  ['POST', '/api/auth/login', true],
  ['POST', '/api/auth/login/', true],
  ['POST', '/api/auth/register', true],
  ['POST', '/api/auth/password', true],
  ['POST', '/api/auth/reset', true],
  ['PATCH', '/api/auth/me', true],
  ['POST', '/api/users', true],
  // As they are routed: some letters may be escaped.
  ['POST', '/api/auth/%6Cogin', true],
  ['POST', '/%61pi/auth/register/', true],
  ['POST', '/api/u%73ers?x=%ff', true],
  ['GET', '/api/auth/me', false],
  ['POST', '/api/auth/refresh', false],
  ['POST', '/api/users/1/reset-token', false],
])('the request %s %s takes a password: %s', (method, path, takes) => {
  const request = new Request(`http://hospital.test${path}`, { method })
  expect(usesPassword(request)).toBe(takes)
  expect(app.router.match(method, app.getPath(request))[0].length).toBeGreaterThan(1)
})
