import { exampleIds, exampleParticipantIds, exampleParticipants, exampleTime } from '../../openapi/example-values.ts'
import type { TagDescription } from '../../openapi/tag-description.ts'

export const mappingTag: TagDescription = {
  name: 'mappings',
  description: 'Who treats whom. A mapping is what lets a doctor see a patient.',
  examples: {
    NewMapping: exampleParticipantIds,
    Mapping: {
      id: '01a20866-0c9f-7a11-a2b2-c3d4e5f60718',
      ...exampleParticipantIds,
      createdBy: exampleIds.admin,
      createdAt: exampleTime,
      ...exampleParticipants,
    },
  },
}
