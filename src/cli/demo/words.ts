/** What people come for. */
export const visitReasons = [
  'Check-up',
  'Follow-up',
  'Cough',
  'Headache',
  'Back pain',
  'Test results',
  'Vaccination',
  'Rash',
  'Prescription',
]

/** Specializations of made-up doctors. */
export const specializations = [
  'Cardiology',
  'Dermatology',
  'Emergency Medicine',
  'Endocrinology',
  'Gastroenterology',
  'General Practice',
  'Gynaecology',
  'Neurology',
  'Oncology',
  'Ophthalmology',
  'Orthopaedics',
  'Paediatrics',
  'Psychiatry',
  'Pulmonology',
  'Radiology',
  'Surgery',
  'Urology',
]

/** Substances that made-up patients do not bear. */
export const substances = [
  'Penicillin',
  'Amoxicillin',
  'Sulfonamides',
  'Aspirin',
  'Ibuprofen',
  'Latex',
  'Peanuts',
  'Shellfish',
  'Eggs',
  'Bee venom',
  'Birch pollen',
  'Iodine contrast',
  'House dust mites',
]

/** What people have, and the age from which they may. */
export const medicalConditions = [
  { name: 'Asthma, salbutamol as needed', from: 3 },
  { name: 'Atopic dermatitis', from: 0 },
  { name: 'Seasonal allergic rhinitis', from: 5 },
  { name: 'Appendectomy', from: 8 },
  { name: 'Fracture of the left forearm, healed', from: 4 },
  { name: 'Migraine with aura', from: 14 },
  { name: 'Iron deficiency anaemia', from: 12 },
  { name: 'Hypothyroidism, levothyroxine 75 µg', from: 20 },
  { name: 'Type 2 diabetes, metformin 500 mg twice a day', from: 35 },
  { name: 'Hypertension, ramipril 5 mg', from: 35 },
  { name: 'Hypercholesterolaemia, atorvastatin 20 mg', from: 38 },
  { name: 'Osteoarthritis of the right knee', from: 48 },
  { name: 'Coronary heart disease, stent', from: 52 },
  { name: 'Chronic kidney disease, stage 2', from: 55 },
  { name: 'Cataract surgery on both eyes', from: 62 },
  { name: 'Hip replacement', from: 64 },
]

const workdays = ['mon', 'tue', 'wed', 'thu', 'fri']
const weeklySpans = (days: string[], ...hours: [string, string][]) =>
  days.flatMap((day) => hours.map(([from, to]) => ({ day, from, to })))

/** Working hours that are the same on each day. */
export const everyDaySchedule = weeklySpans([...workdays, 'sat', 'sun'], ['08:00', '18:00'])
/** Working hours of made-up doctors. */
export const weeklySchedules = [
  weeklySpans(workdays, ['09:00', '17:00']),
  weeklySpans(workdays, ['08:00', '12:00'], ['13:00', '16:30']),
  weeklySpans(['mon', 'tue', 'thu'], ['10:00', '18:00']),
  weeklySpans(['mon', 'wed', 'fri'], ['07:30', '15:30']),
  [...weeklySpans(workdays, ['09:00', '13:00']), ...weeklySpans(['sat'], ['09:00', '12:00'])],
  weeklySpans(['tue', 'wed', 'thu', 'fri'], ['12:00', '20:00']),
]
