import { en } from '@faker-js/faker'
import postgres from 'postgres'
import { migrateDatabase } from '../src/database/migrate.ts'
import { nodePasswordHasher } from '../src/features/auth/passwords.node.ts'

/** How many patients a database of the bench holds, by its name. */
export const sizes = { '10k': 10_000, '1m': 1_000_000 }
export type Size = keyof typeof sizes

/** Of all accounts of the bench. */
export const password = 'measured on two cores'
/** Accounts of the staff, administrators, as `staff.1@example.org` and so on; the doctor's is `doctor@example.org`. */
export const staff = 64
/** How many patients the doctor of that account treats, at any size. */
export const treated = 200
/** Every so many patients one has two doctors. */
export const mappedEvery = 20

/** Ids can be told from their number, so that a load needs no list of them. The fourth group says of what. */
export const kinds = {
  patients: '8000',
  staff: '8001',
  doctors: '8002',
  mappings: '8003',
  appointments: '8004',
  audit: '8005',
  ownAccounts: '8006',
  doctorAccount: '8007',
}
export const idOf = (kind: keyof typeof kinds, n: number): string =>
  `01900000-0000-7000-${kinds[kind]}-${n.toString(16).padStart(12, '0')}`
/** Ids behind this one were not made here, but by what was measured. */
const lastId = '01900000-0000-7fff-bfff-ffffffffffff'

/** Changes when what is made here changes: databases of another edition are made anew. */
const edition = 'edition 1'

const named = (server: string, name: string): string => {
  const url = new URL(server)
  url.pathname = `/${name}`
  return url.href
}

const loud = { max: 1, onnotice: () => {} }

/**
 * The database of `size` on the server at `url`, made where it is not there or `fresh` asks for it, migrated, and
 * without what earlier measurements left. Returns its URL.
 */
export async function database(server: string, size: Size, fresh: boolean, say: (line: string) => void) {
  const name = `hospital_bench_${size}`
  const url = named(server, name)
  const admin = postgres(server, loud)
  const [found] = await admin<{ edition: string | null }[]>`
    select shobj_description(oid, 'pg_database') as edition from pg_database where datname = ${name}`
  const kept = found?.edition === edition && !fresh
  if (!kept) {
    if (found) await admin.unsafe(`drop database ${name} with (force)`)
    await admin.unsafe(`create database ${name}`)
  }
  await migrateDatabase(url)
  const sql = postgres(url, loud)
  if (kept) await tidy(sql)
  else {
    const start = performance.now()
    await fill(sql, sizes[size], say)
    await sql.unsafe(`comment on database ${name} is '${edition}'`)
    say(`Made ${name} in ${Math.round((performance.now() - start) / 1000)} s.`)
  }
  await sql.end()
  await admin.end()
  return url
}

const big = ['patients', 'mappings', 'appointments', 'audit']

/** Takes out what measurements added, so that each begins with the same rows. */
async function tidy(sql: postgres.Sql): Promise<void> {
  await sql.unsafe('alter table audit disable trigger user')
  for (const table of big) await sql`delete from ${sql(table)} where id > ${lastId}`
  await sql.unsafe('alter table audit enable trigger user; truncate sessions, throttle')
  for (const table of [...big, 'users', 'sessions', 'throttle']) await sql.unsafe(`vacuum analyze ${table}`)
}

/** Indexes and foreign keys are made after the rows: that takes a tenth of the time. */
async function withoutIndexes(sql: postgres.Sql, load: () => Promise<void>, say: (line: string) => void) {
  const keys = await sql<{ owner: string; name: string; made: string }[]>`
    select conrelid::regclass::text as owner, conname as name, pg_get_constraintdef(oid) as made from pg_constraint
    where contype = 'f' and connamespace = 'public'::regnamespace`
  const indexes = await sql<{ name: string; made: string }[]>`
    select indexrelid::regclass::text as name, pg_get_indexdef(indexrelid) as made
    from pg_index join pg_class on pg_class.oid = indrelid
    where relnamespace = 'public'::regnamespace
      and not exists (select from pg_constraint where conindid = indexrelid)`
  for (const { owner, name } of keys) await sql.unsafe(`alter table ${owner} drop constraint ${name}`)
  for (const { name } of indexes) await sql.unsafe(`drop index ${name}`)
  await load()
  say('  indexes')
  for (const { made } of indexes) await sql.unsafe(made)
  for (const { owner, name, made } of keys) await sql.unsafe(`alter table ${owner} add constraint ${name} ${made}`)
}

const list = (words: readonly string[] | null | undefined) =>
  words?.map((word) => word.replaceAll(',', '')).join(',') ?? ''

/** Fills a migrated, empty database with `count` patients and what goes with them, and analyses it. The same rows every time. */
export async function fill(sql: postgres.Sql, count: number, say: (line: string) => void = () => {}): Promise<void> {
  const hash = await nodePasswordHasher.hash(password)
  const doctors = Math.max(100, count / 1000)
  await sql.unsafe(`
    set synchronous_commit = off;
    set maintenance_work_mem = '512MB';
    create function pg_temp.made(kind text, n bigint) returns uuid language sql immutable
      return ('01900000-0000-7000-' || kind || '-' || lpad(to_hex(n), 12, '0'))::uuid;
    create function pg_temp.chance(n bigint, salt bigint) returns int language sql immutable
      return (hashint8extended(n, salt) & 2147483647)::int;
    create function pg_temp.word(words text[], n bigint, salt bigint) returns text language sql immutable
      return words[1 + pg_temp.chance(n, salt) % cardinality(words)]`)
  const first = list([...(en.person?.first_name?.female ?? []), ...(en.person?.first_name?.male ?? [])])
  const last = list(en.person?.last_name?.generic)
  const towns = list(en.location?.city_name)
  // The time at which the n-th of `count` came to be: evenly over two years.
  const moment = `timestamptz '2024-01-01' + n * (interval '730 days' / ${count})`

  await withoutIndexes(
    sql,
    async () => {
      say('  accounts and doctors')
      await sql`insert into founding (once) values (true)`
      await sql.unsafe(
        `insert into users (id, name, email, password_hash, role_name)
         select pg_temp.made('${kinds.staff}', n), 'Staff ' || n, 'staff.' || n || '@example.org', $1, 'admin'
         from generate_series(1, ${staff}) as n
         union all select pg_temp.made('${kinds.doctorAccount}', 1), 'Dr. Dora Diaz', 'doctor@example.org', $1, 'doctor'
         union all select pg_temp.made('${kinds.ownAccounts}', n), 'Patient ' || n, 'patient.' || n || '@example.org', $1, 'patient'
         from generate_series(100, ${count}, 100) as n`,
        [hash],
      )
      await sql.unsafe(
        `insert into doctors (id, name, specialization, email, time_zone, user_id)
         select pg_temp.made('${kinds.doctors}', n),
           'Dr. ' || pg_temp.word(string_to_array($1, ','), n, 1) || ' ' || pg_temp.word(string_to_array($2, ','), n, 2),
           (array['Cardiology', 'Dermatology', 'Neurology', 'Oncology', 'Paediatrics', 'Surgery'])[1 + n % 6],
           'doctor.' || n || '@example.org', 'Europe/Berlin',
           case when n = 1 then pg_temp.made('${kinds.doctorAccount}', 1) end
         from generate_series(1, ${doctors}) as n`,
        [first, last],
      )
      say('  patients')
      await sql.unsafe(
        `insert into patients (id, name, date_of_birth, gender, phone, email, address, blood_group, allergies,
           medical_history, user_id, created_by, created_at, updated_at)
         select pg_temp.made('${kinds.patients}', n), first || ' ' || last,
           date '1930-01-01' + pg_temp.chance(n, 3) % 34000,
           (array['female', 'male', 'other', 'unknown'])[1 + n % 2 + case when n % 50 = 0 then 2 else 0 end]::gender,
           '+1' || (2000000000::bigint + pg_temp.chance(n, 4)),
           case when n % 3 > 0 then lower(first || '.' || last) || n % 1000 || '@example.org' end,
           1 + pg_temp.chance(n, 5) % 999 || ' ' || last || ' Street, ' || pg_temp.word(string_to_array($3, ','), n, 6),
           (array['A+', 'A-', 'B+', 'B-', 'AB+', 'AB-', 'O+', 'O-'])[1 + pg_temp.chance(n, 7) % 8]::blood_group,
           case when n % 4 = 0 then '["Penicillin", "Latex"]'::jsonb else '[]' end,
           case when n % 2 = 0 then 'Hypertension, ramipril 5 mg (2019).' || chr(10) || 'Appendectomy (2004).' end,
           case when n % 100 = 0 then pg_temp.made('${kinds.ownAccounts}', n) end,
           pg_temp.made('${kinds.staff}', 1 + n % ${staff}), ${moment}, ${moment}
         from generate_series(1, ${count}) as n
         cross join lateral (select pg_temp.word(string_to_array($1, ','), n, 1) as first, pg_temp.word(string_to_array($2, ','), n, 2) as last) as name`,
        [first, last, towns],
      )
      say('  mappings and appointments')
      await sql.unsafe(`
        insert into mappings (id, patient_id, doctor_id, created_by, created_at)
        select pg_temp.made('${kinds.mappings}', row_number() over (order by patient, doctor)),
          pg_temp.made('${kinds.patients}', patient), pg_temp.made('${kinds.doctors}', doctor),
          pg_temp.made('${kinds.staff}', 1 + patient % ${staff}), timestamptz '2024-01-01' + patient * (interval '730 days' / ${count})
        from (
          select n as patient, 2 + (n / ${mappedEvery} + side * 7) % ${doctors - 1} as doctor
          from generate_series(${mappedEvery}, ${count}, ${mappedEvery}) as n, generate_series(0, 1) as side
          union all select 1 + n * ${count / treated}, 1 from generate_series(0, ${treated - 1}) as n
        ) as pair;
        insert into appointments (id, patient_id, doctor_id, starts_at, ends_at, status, reason, created_by, created_at, updated_at)
        select pg_temp.made('${kinds.appointments}', n), pg_temp.made('${kinds.patients}', 1 + n * 7919::bigint % ${count}),
          pg_temp.made('${kinds.doctors}', 1 + n % ${doctors}), starts, starts + interval '30 minutes',
          (case when n > ${count * 0.9} then 'scheduled' when n % 10 = 0 then 'no_show' when n % 7 = 0 then 'cancelled' else 'completed' end)::appointment_status,
          'Follow-up', pg_temp.made('${kinds.staff}', 1 + n % ${staff}), ${moment}, ${moment}
        from generate_series(1, ${count}) as n
        cross join lateral (select timestamptz '2024-01-02 08:00' + n / ${doctors} / 16 * interval '1 day' + n / ${doctors} % 16 * interval '30 minutes' as starts) as time`)
      say('  audit')
      await sql.unsafe(`
        insert into audit (id, at, user_id, role, action, resource, resource_id, patient_id, patient_ids, status, ip, user_agent, request_id, changes)
        select pg_temp.made('${kinds.audit}', n), timestamptz '2024-01-01' + n * (interval '730 days' / ${count * 5}),
          pg_temp.made('${kinds.staff}', 1 + n % ${staff}), 'admin', action, 'patient',
          case when action <> 'patient.list' then patient end, case when action <> 'patient.list' then patient end,
          case when action = 'patient.list' then array(select pg_temp.made('${kinds.patients}', 1 + (n * 7919::bigint + place) % ${count}) from generate_series(1, 50) as place) end,
          200, '192.0.2.' || n % 250, 'Mozilla/5.0', pg_temp.made('${kinds.audit}', n)::text,
          case when action = 'patient.update' then '{"address": {"before": "12 Oak Street", "after": "7 Elm Street"}}'::jsonb end
        from generate_series(1, ${count * 5}) as n
        cross join lateral (select pg_temp.made('${kinds.patients}', 1 + n * 7919::bigint % ${count}) as patient,
          case when n % 50 = 0 then 'patient.list' when n % 5 = 0 then 'patient.update' when n % 7 = 0 then 'mapping.read' else 'patient.read' end as action) as told`)
    },
    say,
  )
  await sql.unsafe('vacuum analyze')
}
