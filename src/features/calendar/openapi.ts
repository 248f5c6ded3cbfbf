import { exampleIds, exampleTime } from '../../openapi/example-values.ts'
import type { TagDescription } from '../../openapi/tag-description.ts'

const exampleFeed = { id: '01a20866-0dd3-7f55-a6f6-0718293a4b5c', createdAt: exampleTime }

export const calendarTag: TagDescription = {
  name: 'calendar',
  description: 'URLs under which phones and Outlook subscribe to appointments.',
  permissionGroups: ['doctorFeeds', 'patientFeeds'],
  openPaths: /\.ics$/,
  examples: {
    Feed: exampleFeed,
    NewFeed: { ...exampleFeed, url: `/api/patients/${exampleIds.patient}/calendar.ics?token=kR3tY0pWc1uXg7Qn` },
  },
}
