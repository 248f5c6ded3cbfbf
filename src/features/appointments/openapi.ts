import {
  exampleIds,
  exampleParticipantIds,
  exampleParticipants,
  exampleTimestamps,
} from '../../openapi/example-values.ts'
import type { TagDescription } from '../../openapi/tag-description.ts'

const exampleSlot = { startsAt: '2099-01-05T09:00:00.000Z', endsAt: '2099-01-05T09:30:00.000Z' }

export const appointmentTag: TagDescription = {
  name: 'appointments',
  description: 'Appointments, and the times that can be booked. No doctor and no patient is ever in two at once.',
  permissionGroups: ['appointments', 'slots'],
  examples: {
    NewAppointment: { ...exampleParticipantIds, ...exampleSlot, reason: 'Check-up' },
    AppointmentPatch: { reason: 'Second opinion' },
    Appointment: {
      id: '01a20866-0d10-7c22-b3c3-d4e5f6071829',
      ...exampleParticipantIds,
      ...exampleSlot,
      status: 'scheduled',
      reason: 'Check-up',
      notes: null,
      createdBy: exampleIds.admin,
      ...exampleTimestamps,
      ...exampleParticipants,
    },
    Slots: { results: [exampleSlot] },
  },
}
