import { exampleIds, exampleTime } from '../../openapi/example-values.ts'
import type { TagDescription } from '../../openapi/tag-description.ts'

export const reportTag: TagDescription = {
  name: 'reports',
  description: 'Files about a patient.',
  examples: {
    NewReport: { file: 'blood.txt', title: 'Blood count', kind: 'lab' },
    Report: {
      id: '01a20866-0d51-7d33-84d4-e5f60718293a',
      patientId: exampleIds.patient,
      appointmentId: null,
      title: 'Blood count',
      kind: 'lab',
      filename: 'blood.txt',
      contentType: 'text/plain',
      size: 12,
      sha256: '7509e5bda0c762d2bac7f90d758b5b2263fa01ccbc542ab5e3df163be08e6ca9',
      uploadedBy: exampleIds.admin,
      createdAt: exampleTime,
    },
  },
}
