import { exampleIds, exampleTime } from '../openapi/example-values.ts'
import type { TagDescription } from '../openapi/tag-description.ts'

export const auditTag: TagDescription = {
  name: 'audit',
  description: 'Who saw or changed what.',
  examples: {
    AuditEntry: {
      id: '01a20866-0e14-7066-b707-18293a4b5c6d',
      at: exampleTime,
      userId: exampleIds.admin,
      role: 'admin',
      action: 'patient.update',
      resource: 'patient',
      resourceId: exampleIds.patient,
      patientId: exampleIds.patient,
      patientIds: null,
      status: 200,
      ip: '192.0.2.1',
      userAgent: 'curl/8.0',
      requestId: '01a20866-0d3e-7c4d-9f00-112233445566',
      changes: { phone: { before: null, after: '+4930901820' } },
    },
  },
}
