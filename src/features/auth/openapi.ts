import { exampleIds, exampleTime, exampleTimestamps } from '../../openapi/example-values.ts'
import type { TagDescription } from '../../openapi/tag-description.ts'

const exampleAccount = { name: 'Ada Adams', email: 'ada@example.org' }
const examplePassword = 'a long password'
const exampleUser = { id: exampleIds.admin, ...exampleAccount, role: 'admin', active: true, ...exampleTimestamps }
const exampleToken = 'eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.e30.c2lnbmF0dXJl'
const exampleTokens = { access: exampleToken, refresh: exampleToken, tokenType: 'Bearer', expiresIn: 1800 }
const exampleResetToken = 'kR3tY0pWc1uXg7Qn'

export const authTag: TagDescription = {
  name: 'auth',
  description: 'Accounts of one’s own: tokens, sessions, passwords.',
  permissionGroups: ['account', 'sessions'],
  openPaths: /^\/api\/auth\//,
  examples: {
    Register: { ...exampleAccount, password: examplePassword },
    Login: { email: exampleAccount.email, password: examplePassword },
    Refresh: { refresh: exampleToken },
    Logout: { refresh: exampleToken },
    AccountPatch: { name: 'Ada B. Adams' },
    NewPassword: { currentPassword: examplePassword, newPassword: 'an even longer password' },
    Reset: { token: exampleResetToken, newPassword: 'an even longer password' },
    Tokens: exampleTokens,
    SignedIn: { user: exampleUser, ...exampleTokens },
    OwnAccount: { ...exampleUser, doctorId: null, patientId: null },
    Session: {
      id: '01a20866-0d92-7e44-95e5-f60718293a4b',
      createdAt: exampleTime,
      lastUsedAt: exampleTime,
      ip: '192.0.2.1',
      userAgent: 'Mozilla/5.0',
      current: true,
    },
  },
}

export const userTag: TagDescription = {
  name: 'users',
  description: 'Accounts, for administrators.',
  examples: {
    User: exampleUser,
    NewUser: { name: 'Dora Diaz', email: 'dora@example.org', password: examplePassword, role: 'doctor' },
    UserPatch: { role: 'doctor' },
    ResetToken: { token: exampleResetToken, expiresAt: exampleTime },
  },
}
