import { inArray } from 'drizzle-orm'
import { auditLog } from '../../src/audit/schema.ts'
import { closeDatabase, connectDatabase } from '../../src/database/client.ts'
import { patients } from '../../src/features/patients/schema.ts'
import { type Answer, password, patient } from './api.ts'
import { expectDocumented } from './documented.ts'
import { send, until } from './program.ts'
import { Connection } from './socket.ts'

/** A request as bytes, for {@link Connection}. */
export function bytesOf(method: string, path: string, token: string, body?: unknown): string {
  const json = body === undefined ? '' : JSON.stringify(body)
  const lines = [`${method} ${path} HTTP/1.1`, 'Host: test', `Authorization: Bearer ${token}`]
  if (json) lines.push('Content-Type: application/json', `Content-Length: ${Buffer.byteLength(json)}`)
  return `${lines.join('\r\n')}\r\n\r\n${json}`
}

export const isLast = (answer: Answer): boolean => answer.headers.get('Connection') === 'close'

/** The first account, and so an administrator's. */
export const ada = { name: 'Ada Admin', email: 'ada@example.org', password }

/** Registers {@link ada}, and tells the access token. */
export async function firstToken(url: string): Promise<string> {
  return (await send('POST', `${url}/api/auth/register`, ada)).string('access')
}

/** Adds and reads patients on one connection, until the server says that it closes it. Fails where it closes it unsaid. */
export async function useUntilTold(url: string, token: string, answers: Answer[]): Promise<void> {
  const connection = await Connection.open(url)
  for (let path = ''; ; ) {
    const request = path ? bytesOf('GET', path, token) : bytesOf('POST', '/api/patients', token, patient())
    const answer = await connection.send(request).answer()
    expectDocumented(path ? 'GET' : 'POST', path || '/api/patients', answer.status, answer.headers, answer.body)
    answers.push(answer)
    path = path ? '' : `/api/patients/${answer.id}`
    if (isLast(answer)) return
  }
}

/** Whether the server takes no more connections. */
export const refuses = (url: string): Promise<boolean> =>
  Connection.open(url).then(
    ({ socket }) => {
      socket.destroy()
      return false
    },
    () => true,
  )

/** What of these answers the database has not: patients that were acknowledged, and rows of the trail. */
export async function lostOf(databaseUrl: string, answers: Answer[]): Promise<string[]> {
  const db = connectDatabase(databaseUrl, { maxConnections: 1 })
  const created = answers.filter(({ status }) => status === 201).map(({ id }) => id)
  const requests = answers.map(({ headers }) => headers.get('X-Request-Id') ?? '')
  const kept = await db.select({ id: patients.id }).from(patients).where(inArray(patients.id, created))
  const told = await db.select({ id: auditLog.requestId }).from(auditLog).where(inArray(auditLog.requestId, requests))
  await closeDatabase(db)
  const found = new Set([...kept, ...told].map(({ id }) => id))
  return [...created, ...requests].filter((id) => !found.has(id))
}

export const refusal = (url: string): Promise<void> => until('new connections to be refused', () => refuses(url))
