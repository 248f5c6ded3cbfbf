import * as z from 'zod'
import { emailField, passwordField, textField } from '../../http/field-types.ts'
import { newestFirstQuery } from '../../http/list-query.ts'
import { roles } from '../../roles.ts'

const userFields = { name: textField(200), email: emailField, role: z.enum(roles) }

export const NewUser = z.strictObject({ ...userFields, password: passwordField }).meta({ id: 'NewUser' })
export const UserPatch = z
  .strictObject({ ...userFields, active: z.boolean() })
  .partial()
  .meta({ id: 'UserPatch' })
export const UserQuery = newestFirstQuery({
  q: textField(200).optional(),
  role: z.enum(roles).optional(),
  active: z.enum(['true', 'false']).optional(),
})

export const ResetToken = z.object({ token: z.string(), expiresAt: z.iso.datetime() }).meta({ id: 'ResetToken' })
