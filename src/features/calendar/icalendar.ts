import { escape as escaped, ICalCalendar, ICalEventStatus, ICalEventTransparency } from 'ical-generator'
import type { FeedContent } from './queries.ts'
import type { FeedSubject } from './schema.ts'

/** A client that heeds it asks again after so many seconds (RFC 7986, section 5.7). */
const refreshSeconds = 3600

/** Text without the controls that iCalendar has no way to say (RFC 5545, section 3.1). */
const stripControls = (text: string) => text.replace(/[^\P{Cc}\t\r\n]/gu, '')

const latestOf = (...times: Date[]) => new Date(Math.max(...times.map(Number)))

type FeedAppointment = FeedContent['appointments'][number]

/** What an event tells, and when that last changed: names change without the appointment. */
function describeEvent(subject: FeedSubject, isFull: boolean, { updatedAt, patient, doctor }: FeedAppointment) {
  if (subject === 'patient')
    return { summary: `${doctor.name}, ${doctor.specialization}`, changedAt: latestOf(updatedAt, doctor.updatedAt) }
  if (isFull) return { summary: patient.name, changedAt: latestOf(updatedAt, patient.updatedAt) }
  return { summary: 'Appointment', changedAt: updatedAt }
}

/**
 * A feed as iCalendar (RFC 5545). Neither a patient's name nor a reason is in it unless it is `isFull`; notes never are.
 * A cancelled appointment is told as such, so that clients that know it take it away (RFC 5545, section 3.8.1.11).
 */
export function renderCalendar(subject: FeedSubject, { name, appointments }: FeedContent, isFull: boolean): string {
  const hasName = subject === 'doctor' || isFull
  const calendar = new ICalCalendar({
    prodId: { company: 'Hospital', product: 'Hospital API' },
    ttl: refreshSeconds,
    // The library escapes all text but this.
    name: escaped(stripControls(hasName ? `Appointments of ${name}` : 'Appointments'), false),
  })
  for (const appointment of appointments) {
    const { id, startsAt, endsAt, reason, version } = appointment
    const { summary, changedAt } = describeEvent(subject, isFull, appointment)
    const cancelled = appointment.status === 'cancelled'
    calendar.createEvent({
      id: `${id}@hospital-api`,
      sequence: version - 1,
      stamp: changedAt,
      lastModified: changedAt,
      start: startsAt,
      end: endsAt,
      summary: stripControls(summary),
      ...(isFull && reason && { description: stripControls(reason) }),
      status: cancelled ? ICalEventStatus.CANCELLED : ICalEventStatus.CONFIRMED,
      transparency: cancelled ? ICalEventTransparency.TRANSPARENT : ICalEventTransparency.OPAQUE,
    })
  }
  return calendar.toString()
}
