DROP INDEX "patients_created_by_idx";--> statement-breakpoint
CREATE INDEX "appointments_status_idx" ON "appointments" USING btree ("status","created_at","id");--> statement-breakpoint
CREATE INDEX "appointments_starts_at_idx" ON "appointments" USING btree ("starts_at");--> statement-breakpoint
CREATE INDEX "appointments_doctor_id_starts_at_idx" ON "appointments" USING btree ("doctor_id","starts_at");--> statement-breakpoint
CREATE INDEX "audit_action_idx" ON "audit" USING btree ("action","at","id");--> statement-breakpoint
CREATE INDEX "patients_gender_idx" ON "patients" USING btree ("gender","created_at","id");--> statement-breakpoint
CREATE INDEX "patients_deleted_idx" ON "patients" USING btree ("created_at","id") WHERE deleted_at is not null;--> statement-breakpoint
CREATE INDEX "patients_created_by_idx" ON "patients" USING btree ("created_by","created_at","id");