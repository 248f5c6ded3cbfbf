import { sql } from 'drizzle-orm'
import { boolean, check, index, integer, pgEnum, pgTable, text, unique, uuid } from 'drizzle-orm/pg-core'
import { z } from 'zod'
import { roles } from '../access/permissions.ts'
import { history, id, instant } from '../db/columns.ts'
import { email, text as line, password, token } from '../http/fields.ts'

export const role = pgEnum('role', roles)

export const users = pgTable(
  'users',
  {
    id: id(),
    name: text('name').notNull(),
    email: text('email').notNull(),
    passwordHash: text('password_hash').notNull(),
    role: role('role').notNull(),
    active: boolean('active').notNull().default(true),
    ...history(),
  },
  (table) => [
    unique('users_email_key').on(table.email),
    // What a doctor's link points at, so that it holds the account to its role.
    unique('users_id_role_key').on(table.id, table.role),
    index('users_created_at_idx').on(table.createdAt, table.id),
    check('users_email_lower', sql`${table.email} = lower(${table.email})`),
  ],
)

/**
 * One sign-in, on one device. The refresh token in force is number `generation`; it is not stored, in no form:
 * its claims follow from the row and its worth from the signature.
 */
export const sessions = pgTable(
  'sessions',
  {
    id: id(),
    userId: uuid('user_id')
      .notNull()
      .references(() => users.id),
    generation: integer('generation').notNull().default(1),
    createdAt: instant('created_at').notNull().defaultNow(),
    lastUsedAt: instant('last_used_at').notNull().defaultNow(),
    rotatedAt: instant('rotated_at').notNull().defaultNow(),
    expiresAt: instant('expires_at').notNull(),
    revokedAt: instant('revoked_at'),
    ip: text('ip').notNull(),
    userAgent: text('user_agent'),
  },
  (table) => [index('sessions_user_id_idx').on(table.userId)],
)

/** Holds one row once the first account exists: its key lets exactly one of many first registrations be it. */
export const founding = pgTable('founding', { once: boolean('once').primaryKey() }, (table) => [
  check('founding_once', sql`${table.once}`),
])

export const Register = z.strictObject({ name: line(200), email, password })
export const Login = z.strictObject({ email, password })
export const Refresh = z.strictObject({ refresh: token })
export const Logout = z.strictObject({ refresh: token.optional() })

/** What the API shows of an account. */
export const shownUser = {
  id: users.id,
  name: users.name,
  email: users.email,
  role: users.role,
  active: users.active,
  createdAt: users.createdAt,
  updatedAt: users.updatedAt,
}
