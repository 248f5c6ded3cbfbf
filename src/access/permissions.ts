import { type Role, type RowScope, roles } from '../roles.ts'

/**
 * `audit` is the action that using the permission leaves in the trail. `asksSession`: the database is asked whether the
 * session has ended, where others trust what was found a moment ago. A role with null may not do it at all.
 */
export type Permission = { readonly audit?: string; readonly asksSession?: true } & {
  readonly [R in Role]: RowScope | null
}

/** Who may do what. One row a permission, which says something of every role. */
export const permissions = {
  'account:get': { admin: 'all', doctor: 'all', patient: 'all' },
  'account:update': { audit: 'user.update', asksSession: true, admin: 'all', doctor: 'all', patient: 'all' },
  'account:password': {
    audit: 'auth.password_changed',
    asksSession: true,
    admin: 'all',
    doctor: 'all',
    patient: 'all',
  },
  'sessions:list': { admin: 'all', doctor: 'all', patient: 'all' },
  'sessions:end': { audit: 'auth.logout', admin: 'all', doctor: 'all', patient: 'all' },
  'users:list': { audit: 'user.list', admin: 'all', doctor: null, patient: null },
  'users:get': { audit: 'user.read', admin: 'all', doctor: null, patient: null },
  'users:create': { audit: 'user.create', asksSession: true, admin: 'all', doctor: null, patient: null },
  'users:update': { audit: 'user.update', asksSession: true, admin: 'all', doctor: null, patient: null },
  'users:reset': { audit: 'user.reset', asksSession: true, admin: 'all', doctor: null, patient: null },
  'patients:list': { audit: 'patient.list', admin: 'all', doctor: 'visible', patient: 'visible' },
  'patients:get': { audit: 'patient.read', admin: 'all', doctor: 'visible', patient: 'visible' },
  'patients:create': { audit: 'patient.create', admin: 'all', doctor: 'all', patient: 'all' },
  'patients:update': { audit: 'patient.update', admin: 'all', doctor: 'visible', patient: 'visible' },
  'patients:delete': { audit: 'patient.delete', admin: 'all', doctor: 'createdByCaller', patient: 'createdByCaller' },
  // To set which account a record is the patient's own of.
  'patients:link': { admin: 'all', doctor: null, patient: null },
  // To add one's own record.
  'patients:createSelf': { admin: null, doctor: null, patient: 'all' },
  'patients:restore': { audit: 'patient.restore', admin: 'all', doctor: null, patient: null },
  'doctors:list': { audit: 'doctor.list', admin: 'all', doctor: 'all', patient: 'all' },
  'doctors:get': { audit: 'doctor.read', admin: 'all', doctor: 'all', patient: 'all' },
  'doctors:create': { audit: 'doctor.create', admin: 'all', doctor: null, patient: null },
  'doctors:update': { audit: 'doctor.update', admin: 'all', doctor: 'ownProfile', patient: null },
  'doctors:delete': { audit: 'doctor.delete', admin: 'all', doctor: null, patient: null },
  'doctors:link': { admin: 'all', doctor: null, patient: null },
  'doctors:restore': { audit: 'doctor.restore', admin: 'all', doctor: null, patient: null },
  'mappings:list': { audit: 'mapping.list', admin: 'all', doctor: 'visible', patient: 'visible' },
  'mappings:get': { audit: 'mapping.read', admin: 'all', doctor: 'visible', patient: 'visible' },
  'mappings:create': { audit: 'mapping.create', admin: 'all', doctor: 'createdByCaller', patient: 'createdByOrSelf' },
  'mappings:delete': {
    audit: 'mapping.delete',
    admin: 'all',
    doctor: 'createdByOrTreatingDoctor',
    patient: 'createdByOrSelf',
  },
  'slots:list': { admin: 'all', doctor: 'all', patient: 'all' },
  'appointments:list': { audit: 'appointment.list', admin: 'all', doctor: 'visible', patient: 'visible' },
  'appointments:get': { audit: 'appointment.read', admin: 'all', doctor: 'visible', patient: 'visible' },
  'appointments:book': { audit: 'appointment.create', admin: 'all', doctor: 'visible', patient: 'createdByOrSelf' },
  'appointments:update': { audit: 'appointment.update', admin: 'all', doctor: 'visible', patient: 'createdByOrSelf' },
  'appointments:complete': { audit: 'appointment.update', admin: 'all', doctor: 'ownProfile', patient: null },
  'reports:list': { audit: 'report.list', admin: 'all', doctor: 'visible', patient: 'visible' },
  'reports:get': { audit: 'report.read', admin: 'all', doctor: 'visible', patient: 'visible' },
  'reports:download': { audit: 'report.download', admin: 'all', doctor: 'visible', patient: 'visible' },
  'reports:upload': { audit: 'report.create', admin: 'all', doctor: 'visible', patient: 'visible' },
  'reports:delete': { audit: 'report.delete', admin: 'all', doctor: 'uploadedByCaller', patient: 'uploadedByCaller' },
  'doctorFeeds:get': { audit: 'feed.read', admin: 'all', doctor: 'ownProfile', patient: null },
  'doctorFeeds:create': { audit: 'feed.create', admin: 'all', doctor: 'ownProfile', patient: null },
  'doctorFeeds:delete': { audit: 'feed.delete', admin: 'all', doctor: 'ownProfile', patient: null },
  'patientFeeds:get': { audit: 'feed.read', admin: 'all', doctor: 'visible', patient: 'visible' },
  'patientFeeds:create': { audit: 'feed.create', admin: 'all', doctor: 'visible', patient: 'visible' },
  'patientFeeds:delete': { audit: 'feed.delete', admin: 'all', doctor: 'visible', patient: 'visible' },
  // To have any number of feeds.
  'feeds:unlimited': { admin: 'all', doctor: null, patient: null },
  'audit:list': { audit: 'audit.list', admin: 'all', doctor: null, patient: null },
  'audit:patient': { audit: 'audit.list', admin: 'all', doctor: null, patient: 'createdByOrSelf' },
} as const satisfies Record<string, Permission>

/** The name of a row of the permissions. */
export type PermissionName = keyof typeof permissions
/** The row of the permissions with this name. */
export const getPermission = (name: PermissionName): Permission => permissions[name]

/** Whether a role may do it, on some row at least. */
export const roleMay = (role: Role, name: PermissionName): boolean => Boolean(getPermission(name)[role])
/** The roles that may do it. */
export const rolesWith = (name: PermissionName): Role[] => roles.filter((role) => roleMay(role, name))
