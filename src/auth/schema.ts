import { sql } from 'drizzle-orm'
import { boolean, check, index, integer, pgEnum, pgTable, text, unique, uuid } from 'drizzle-orm/pg-core'
import * as z from 'zod'
import { roles } from '../access/permissions.ts'
import { history, id, instant } from '../db/columns.ts'
import { shapeOf } from '../db/shape.ts'
import { email, text as line, password, token } from '../http/fields.ts'

/** The roles that versions before `users.role_name` know. */
export const formerRole = pgEnum('role', ['admin', 'doctor', 'patient'])

export const users = pgTable(
  'users',
  {
    id: id(),
    name: text('name').notNull(),
    email: text('email').notNull(),
    passwordHash: text('password_hash').notNull(),
    role: text('role_name', { enum: roles }).notNull(),
    /** The role as versions before `role_name` read and write it. A trigger keeps the two alike; a later release drops it. */
    formerRole: formerRole('role').notNull().default('patient'),
    active: boolean('active').notNull().default(true),
    ...history(),
    search: text('search').generatedAlwaysAs(sql`fold(name || chr(10) || email)`),
  },
  (table) => [
    unique('users_email_key').on(table.email),
    // What a doctor's link points at, so that it holds the account to its role.
    unique('users_id_role_key').on(table.id, table.formerRole),
    index('users_created_at_idx').on(table.createdAt, table.id),
    index('users_search_idx').using('gin', table.search.op('gin_trgm_ops')),
    check('users_email_lower', sql`${table.email} = lower(${table.email})`),
    check('users_role_name', sql`${table.role} in (${sql.raw(roles.map((role) => `'${role}'`).join(', '))})`),
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
    /** That of the address, as failures are counted by; null of sessions from before it was kept. */
    network: text('network'),
    userAgent: text('user_agent'),
  },
  (table) => [index('sessions_user_id_idx').on(table.userId)],
)

/** Holds one row once the first account exists: its key lets exactly one of many first registrations be it. */
export const founding = pgTable('founding', { once: boolean('once').primaryKey() }, (table) => [
  check('founding_once', sql`${table.once}`),
])

/** How often something was tried, by what it hashes to, until its window ends. */
export const throttle = pgTable(
  'throttle',
  { key: text('key').primaryKey(), count: integer('count').notNull(), endsAt: instant('ends_at').notNull() },
  (table) => [index('throttle_ends_at_idx').on(table.endsAt)],
)

/** The one reset that an account may have open. Only what its token hashes to is kept. */
export const resets = pgTable(
  'resets',
  {
    userId: uuid('user_id')
      .primaryKey()
      .references(() => users.id),
    tokenHash: text('token_hash').notNull(),
    expiresAt: instant('expires_at').notNull(),
  },
  (table) => [unique('resets_token_hash_key').on(table.tokenHash)],
)

export const Register = z.strictObject({ name: line(200), email, password }).meta({ id: 'Register' })
export const Login = z.strictObject({ email, password }).meta({ id: 'Login' })
export const Refresh = z.strictObject({ refresh: token }).meta({ id: 'Refresh' })
export const Logout = z.strictObject({ refresh: token.optional() }).meta({ id: 'Logout' })

export const AccountPatch = z
  .strictObject({
    name: line(200).optional(),
    email: email.optional(),
    currentPassword: password.optional(),
  })
  .meta({ id: 'AccountPatch' })
export const NewPassword = z
  .strictObject({ currentPassword: password, newPassword: password })
  .meta({ id: 'NewPassword' })
export const Reset = z.strictObject({ token, newPassword: password }).meta({ id: 'Reset' })

/** What the API shows of a session, beside whether it is the one that asks. */
export const shownSession = {
  id: sessions.id,
  createdAt: sessions.createdAt,
  lastUsedAt: sessions.lastUsedAt,
  ip: sessions.ip,
  userAgent: sessions.userAgent,
}

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

export const User = shapeOf('User', shownUser)
/** An account as its owner is shown it. */
export const OwnAccount = shapeOf('OwnAccount', shownUser, {
  doctorId: z.uuid().nullable().meta({ description: 'The doctor whom the account is linked to.' }),
  patientId: z.uuid().nullable().meta({ description: 'The patient whom the account is linked to.' }),
})
export const Session = shapeOf('Session', shownSession, { current: z.boolean() })

const tokens = {
  access: z.string(),
  refresh: z.string(),
  tokenType: z.literal('Bearer'),
  /** For how long the access token is good, in seconds. */
  expiresIn: z.int(),
}
export const Tokens = z.object(tokens).meta({ id: 'Tokens' })
export const SignedIn = z.object({ user: User, ...tokens }).meta({ id: 'SignedIn' })
