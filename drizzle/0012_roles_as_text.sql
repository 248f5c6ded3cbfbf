-- Roles as text with a check: another one is a new check, which one transaction may both add and use. The default fills the
-- rows there are without writing them; nearly all are of role patient.
ALTER TABLE "users" ADD COLUMN "role_name" text NOT NULL DEFAULT 'patient';--> statement-breakpoint
UPDATE "users" SET "role_name" = "role"::text WHERE "role" <> 'patient';--> statement-breakpoint
ALTER TABLE "users" ALTER COLUMN "role_name" DROP DEFAULT;--> statement-breakpoint
ALTER TABLE "users" ALTER COLUMN "role" SET DEFAULT 'patient';--> statement-breakpoint
ALTER TABLE "users" ADD CONSTRAINT "users_role_name" CHECK ("users"."role_name" in ('admin', 'doctor', 'patient'));--> statement-breakpoint
-- Versions before this one read and write "role", later ones "role_name". A role that the former do not know is to them the
-- one that may least.
CREATE FUNCTION "align_roles"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW."role_name" IS NULL OR (TG_OP = 'UPDATE' AND NEW."role_name" = OLD."role_name" AND NEW."role" <> OLD."role") THEN
    NEW."role_name" := NEW."role"::text;
  ELSIF TG_OP = 'INSERT' OR NEW."role_name" <> OLD."role_name" THEN
    NEW."role" := CASE WHEN NEW."role_name" IN ('admin', 'doctor') THEN NEW."role_name"::role ELSE 'patient' END;
  END IF;
  RETURN NEW;
END
$$;--> statement-breakpoint
CREATE TRIGGER "users_roles_are_alike" BEFORE INSERT OR UPDATE OF "role", "role_name" ON "users"
  FOR EACH ROW EXECUTE FUNCTION "align_roles"();
