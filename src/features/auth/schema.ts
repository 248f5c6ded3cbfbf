import { sql } from 'drizzle-orm'
import { boolean, check, index, integer, pgEnum, pgTable, text, unique, uuid } from 'drizzle-orm/pg-core'
import * as z from 'zod'
import { idColumn, timestampColumn, versionColumns } from '../../database/columns.ts'
import { emailField, passwordField, textField, tokenField } from '../../http/field-types.ts'
import { createResponseSchema } from '../../http/response-schema.ts'
import { roles } from '../../roles.ts'

/** The roles that versions before `users.role_name` know. */
export const formerRoleEnum = pgEnum('role', ['admin', 'doctor', 'patient'])

export const users = pgTable(
  'users',
  {
    id: idColumn(),
    name: text('name').notNull(),
    email: text('email').notNull(),
    passwordHash: text('password_hash').notNull(),
    role: text('role_name', { enum: roles }).notNull(),
    /** The role as versions before `role_name` read and write it. A trigger keeps the two alike; a later release drops it. */
    formerRole: formerRoleEnum('role').notNull().default('patient'),
    active: boolean('active').notNull().default(true),
    ...versionColumns(),
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
    id: idColumn(),
    userId: uuid('user_id')
      .notNull()
      .references(() => users.id),
    generation: integer('generation').notNull().default(1),
    createdAt: timestampColumn('created_at').notNull().defaultNow(),
    lastUsedAt: timestampColumn('last_used_at').notNull().defaultNow(),
    rotatedAt: timestampColumn('rotated_at').notNull().defaultNow(),
    expiresAt: timestampColumn('expires_at').notNull(),
    revokedAt: timestampColumn('revoked_at'),
    ip: text('ip').notNull(),
    /** That of the address, as failures are counted by; null of sessions from before it was kept. */
    network: text('network'),
    userAgent: text('user_agent'),
  },
  (table) => [index('sessions_user_id_idx').on(table.userId)],
)

/** Holds one row once the first account exists: its key lets exactly one of many first registrations be it. */
export const firstAccount = pgTable('founding', { once: boolean('once').primaryKey() }, (table) => [
  check('founding_once', sql`${table.once}`),
])

/** How often something was tried, by what it hashes to, until its window ends. */
export const rateLimitBuckets = pgTable(
  'throttle',
  { key: text('key').primaryKey(), count: integer('count').notNull(), endsAt: timestampColumn('ends_at').notNull() },
  (table) => [index('throttle_ends_at_idx').on(table.endsAt)],
)

/** The one reset that an account may have open. Only what its token hashes to is kept. */
export const passwordResets = pgTable(
  'resets',
  {
    userId: uuid('user_id')
      .primaryKey()
      .references(() => users.id),
    tokenHash: text('token_hash').notNull(),
    expiresAt: timestampColumn('expires_at').notNull(),
  },
  (table) => [unique('resets_token_hash_key').on(table.tokenHash)],
)

export const RegisterRequest = z
  .strictObject({ name: textField(200), email: emailField, password: passwordField })
  .meta({ id: 'Register' })
export const LoginRequest = z.strictObject({ email: emailField, password: passwordField }).meta({ id: 'Login' })
export const RefreshRequest = z.strictObject({ refresh: tokenField }).meta({ id: 'Refresh' })
export const LogoutRequest = z.strictObject({ refresh: tokenField.optional() }).meta({ id: 'Logout' })

export const AccountPatch = z
  .strictObject({
    name: textField(200).optional(),
    email: emailField.optional(),
    currentPassword: passwordField.optional(),
  })
  .meta({ id: 'AccountPatch' })
export const PasswordChangeRequest = z
  .strictObject({ currentPassword: passwordField, newPassword: passwordField })
  .meta({ id: 'NewPassword' })
export const PasswordResetRequest = z
  .strictObject({ token: tokenField, newPassword: passwordField })
  .meta({ id: 'Reset' })

/** What the API shows of a session, beside whether it is the one that asks. */
export const sessionColumns = {
  id: sessions.id,
  createdAt: sessions.createdAt,
  lastUsedAt: sessions.lastUsedAt,
  ip: sessions.ip,
  userAgent: sessions.userAgent,
}

/** What the API shows of an account. */
export const userColumns = {
  id: users.id,
  name: users.name,
  email: users.email,
  role: users.role,
  active: users.active,
  createdAt: users.createdAt,
  updatedAt: users.updatedAt,
}

export const UserResponse = createResponseSchema('User', userColumns)
/** An account as its owner is shown it. */
export const OwnAccountResponse = createResponseSchema('OwnAccount', userColumns, {
  doctorId: z.uuid().nullable().meta({ description: 'The doctor whom the account is linked to.' }),
  patientId: z.uuid().nullable().meta({ description: 'The patient whom the account is linked to.' }),
})
export const SessionResponse = createResponseSchema('Session', sessionColumns, { current: z.boolean() })

const tokenFields = {
  access: z.string(),
  refresh: z.string(),
  tokenType: z.literal('Bearer'),
  /** For how long the access token is good, in seconds. */
  expiresIn: z.int(),
}
export const TokensResponse = z.object(tokenFields).meta({ id: 'Tokens' })
export const SignedInResponse = z.object({ user: UserResponse, ...tokenFields }).meta({ id: 'SignedIn' })
