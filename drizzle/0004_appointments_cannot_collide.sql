-- Nobody is in two places at once, whatever two requests do at the same moment. A cancelled appointment frees its time;
-- ends that touch do not overlap, since the ranges are half-open.
alter table appointments add constraint appointments_doctor_overlap
  exclude using gist (doctor_id with =, tstzrange(starts_at, ends_at) with &&) where (status = 'scheduled');
--> statement-breakpoint
alter table appointments add constraint appointments_patient_overlap
  exclude using gist (patient_id with =, tstzrange(starts_at, ends_at) with &&) where (status = 'scheduled');
--> statement-breakpoint
-- The moment of a local time, by the offsets in force a day before and a day after it. A time that happens twice, at the
-- end of summer time, has two moments: `first` says which. One that does not exist moves forward.
create function local_moment(day date, clock text, zone text, first boolean) returns timestamptz
language sql stable strict parallel safe as $$
  select coalesce(
    case when first then min(moment) filter (where moment at time zone zone = local) else max(moment) filter (where moment at time zone zone = local) end,
    max(moment)
  )
  from (select day + clock::interval as local) as asked
  cross join unnest(array[interval '-1 day', interval '1 day']) as shift
  cross join lateral (select local at time zone 'UTC' + shift as near) as nearby
  cross join lateral (select local at time zone 'UTC' - (near at time zone zone - near at time zone 'UTC') as moment) as moments
$$;
--> statement-breakpoint
-- The spans of a doctor's working hours on each day from `first` to `last`: when each begins and ends. Hours of null are
-- all hours.
create function open_spans(hours json, zone text, first date, last date) returns table (day date, span tstzrange)
language sql stable parallel safe as $$
  select day, tstzrange(begins, greatest(begins, ends))
  from (
    select d::date as day, local_moment(d::date, spans."from", zone, true) as begins, local_moment(d::date, spans."to", zone, false) as ends
    from generate_series(first::timestamp, last::timestamp, interval '1 day') as d
    cross join lateral json_to_recordset(coalesce(hours, (
      select json_agg(json_build_object('day', name, 'from', '00:00', 'to', '24:00'))
      from unnest(array['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']) as name
    ))) as spans (day text, "from" text, "to" text)
    where spans.day = (array['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'])[extract(isodow from d)]
  ) as spanned
$$;
--> statement-breakpoint
-- Slots of so many minutes from `first` to `last` that the doctor works, whether taken or not.
create function open_slots(hours json, zone text, first date, last date, minutes int) returns table (slot tstzrange)
language sql stable parallel safe as $$
  select distinct tstzrange(begins, begins + make_interval(mins => minutes))
  from open_spans(hours, zone, first, last)
  cross join generate_series(lower(span), upper(span) - interval '1 second', make_interval(mins => minutes)) as begins
  where tstzrange(begins, begins + make_interval(mins => minutes)) <@ (select range_agg(span) from open_spans(hours, zone, first - 1, last + 1))
$$;
--> statement-breakpoint
-- Whether the doctor works from `starts` to `ends`. Spans that touch are one, also over midnight.
create function is_open(hours json, zone text, starts timestamptz, ends timestamptz) returns boolean
language sql stable parallel safe as $$
  select hours is null or coalesce((
    select range_agg(span) @> tstzrange(starts, ends)
    from open_spans(hours, zone, (starts at time zone zone)::date - 1, (ends at time zone zone)::date + 1)
  ), false)
$$;
--> statement-breakpoint
-- One who has appointments to come cannot be deleted. The check is a trigger's, which sees what was booked while it waited.
create function refuse_to_strand() returns trigger language plpgsql as $$
declare
  to_come constant tstzrange := tstzrange(now(), null);
  stranded boolean;
begin
  if tg_table_name = 'patients' then
    stranded := exists (select from appointments where patient_id = new.id and status = 'scheduled' and tstzrange(starts_at, ends_at) && to_come);
  else
    stranded := exists (select from appointments where doctor_id = new.id and status = 'scheduled' and tstzrange(starts_at, ends_at) && to_come);
  end if;
  if stranded then
    raise exception 'there are appointments to come' using errcode = 'restrict_violation', constraint = 'appointments_to_come', table = tg_table_name;
  end if;
  return new;
end
$$;
--> statement-breakpoint
create trigger patients_are_not_stranded before update of deleted_at on patients for each row
  when (old.deleted_at is null and new.deleted_at is not null) execute function refuse_to_strand();
--> statement-breakpoint
create trigger doctors_are_not_stranded before update of deleted_at on doctors for each row
  when (old.deleted_at is null and new.deleted_at is not null) execute function refuse_to_strand();
