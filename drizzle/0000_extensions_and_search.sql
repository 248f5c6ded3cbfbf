-- Trigram indexes for search, and equality beside ranges in exclusion constraints.
create extension if not exists pg_trgm;
--> statement-breakpoint
create extension if not exists unaccent;
--> statement-breakpoint
create extension if not exists btree_gist;
--> statement-breakpoint
-- Text without case and accents, and with one sigma. PostgreSQL calls unaccent() merely stable, since its dictionary could be replaced; with
-- the dictionary named and left alone it is immutable, as an index needs it to be.
create function fold(value text) returns text language sql immutable strict parallel safe
  return translate(lower(public.unaccent('public.unaccent'::regdictionary, value)), 'ς', 'σ');
--> statement-breakpoint
-- The LIKE pattern of texts that contain `part`, in which %, _ and \ stand for themselves.
create function containing(part text) returns text language sql immutable strict parallel safe
  return '%' || regexp_replace(part, '([\\%_])', '\\\1', 'g') || '%';
--> statement-breakpoint
-- What differs between two rows given as JSON objects, as { field: { before, after } }. A row that is not there is null.
create function changed_fields(before jsonb, after jsonb) returns jsonb language sql immutable parallel safe
  return (
    select coalesce(jsonb_object_agg(field, jsonb_build_object('before', before -> field, 'after', after -> field)), '{}')
    from jsonb_object_keys(coalesce(after, before)) as field
    where coalesce(before -> field, 'null') <> coalesce(after -> field, 'null')
  );
