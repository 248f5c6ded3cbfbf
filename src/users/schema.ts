import * as z from 'zod'
import { roles } from '../access/permissions.ts'
import { email, password, text } from '../http/fields.ts'
import { plainQuery } from '../http/page.ts'

const fields = { name: text(200), email, role: z.enum(roles) }

export const NewUser = z.strictObject({ ...fields, password }).meta({ id: 'NewUser' })
export const UserPatch = z
  .strictObject({ ...fields, active: z.boolean() })
  .partial()
  .meta({ id: 'UserPatch' })
export const UserQuery = plainQuery({
  q: text(200).optional(),
  role: z.enum(roles).optional(),
  active: z.enum(['true', 'false']).optional(),
})

export const ResetToken = z.object({ token: z.string(), expiresAt: z.iso.datetime() }).meta({ id: 'ResetToken' })
