const patient = `id, name, date_of_birth as "dateOfBirth", gender, phone, email, address, blood_group as "bloodGroup",
  allergies, medical_history as "medicalHistory", user_id as "userId", created_by as "createdBy",
  created_at as "createdAt", updated_at as "updatedAt"`

const newPatient = `insert into patients (id, name, date_of_birth, gender, phone, email, address, blood_group, allergies,
    medical_history, created_by)
  values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) returning ${patient}`

/** The statements of the peers: what the API's own come to, for an administrator. */
export const statements = {
  onePatient: `select ${patient}, version from patients where id = $1 and deleted_at is null`,
  firstPatients: `select * from (select ${patient} from patients where deleted_at is null
  order by created_at desc, id desc limit 101) as page limit $1`,
  morePatients: `select * from (select ${patient} from patients
  where deleted_at is null and (created_at, id) < ($2::timestamptz, $3::uuid)
  order by created_at desc, id desc limit 101) as page limit $1`,
  foundPatients: `select ${patient} from patients
  where deleted_at is null and search like containing(fold($2)) order by created_at desc, id desc limit $1`,
  mappingsOfPatient: `select mappings.id, mappings.patient_id as "patientId", mappings.doctor_id as "doctorId",
    mappings.created_by as "createdBy", mappings.created_at as "createdAt",
    patients.name as "patientName", doctors.name as "doctorName", doctors.specialization
  from mappings join patients on patients.id = mappings.patient_id join doctors on doctors.id = mappings.doctor_id
  where mappings.patient_id = $1 and patients.deleted_at is null and doctors.deleted_at is null
  order by mappings.created_at desc, mappings.id desc limit $2`,
  insertPatient: newPatient,
  /** With its row of the trail. */
  insertBoth: `with patient as (${newPatient}),
  trail as (insert into audit (id, user_id, role, action, resource, resource_id, patient_id, status, ip, request_id, changes)
    select $12, $11, 'admin', 'patient.create', 'patient', $1, $1, 201, $13, $14, $15)
  select * from patient`,
  credentials: `select id, password_hash as "passwordHash" from users where email = $1`,
}
