import { escape as escaped, ICalCalendar, ICalEventStatus, ICalEventTransparency } from 'ical-generator'
import type { Feed } from './queries.ts'
import type { Side } from './schema.ts'

/** A client that heeds it asks again after so many seconds (RFC 7986, section 5.7). */
const refresh = 3600

/** Text without the controls that iCalendar has no way to say (RFC 5545, section 3.1). */
const plain = (text: string) => text.replace(/[^\P{Cc}\t\r\n]/gu, '')

const latest = (...times: Date[]) => new Date(Math.max(...times.map(Number)))

type Appointment = Feed['appointments'][number]

/** What an event tells, and when that last changed: names change without the appointment. */
function told(side: Side, full: boolean, { updatedAt, patient, doctor }: Appointment) {
  if (side === 'patient')
    return { summary: `${doctor.name}, ${doctor.specialization}`, changed: latest(updatedAt, doctor.updatedAt) }
  if (full) return { summary: patient.name, changed: latest(updatedAt, patient.updatedAt) }
  return { summary: 'Appointment', changed: updatedAt }
}

/**
 * A feed as iCalendar (RFC 5545). Neither a patient's name nor a reason is in it unless it is `full`; notes never are.
 * A cancelled appointment is told as such, so that clients that know it take it away (RFC 5545, section 3.8.1.11).
 */
export function calendarOf(side: Side, { name, appointments }: Feed, full: boolean): string {
  const named = side === 'doctor' || full
  const calendar = new ICalCalendar({
    prodId: { company: 'Hospital', product: 'Hospital API' },
    ttl: refresh,
    // The library escapes all text but this.
    name: escaped(plain(named ? `Appointments of ${name}` : 'Appointments'), false),
  })
  for (const appointment of appointments) {
    const { id, startsAt, endsAt, reason, version } = appointment
    const { summary, changed } = told(side, full, appointment)
    const cancelled = appointment.status === 'cancelled'
    calendar.createEvent({
      id: `${id}@hospital-api`,
      sequence: version - 1,
      stamp: changed,
      lastModified: changed,
      start: startsAt,
      end: endsAt,
      summary: plain(summary),
      ...(full && reason && { description: plain(reason) }),
      status: cancelled ? ICalEventStatus.CANCELLED : ICalEventStatus.CONFIRMED,
      transparency: cancelled ? ICalEventTransparency.TRANSPARENT : ICalEventTransparency.OPAQUE,
    })
  }
  return calendar.toString()
}
