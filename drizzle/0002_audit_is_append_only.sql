create function refuse_change() returns trigger language plpgsql as $$
begin
  raise exception '% on % is refused: its rows are kept as they were written', tg_op, tg_table_name using errcode = 'insufficient_privilege';
end
$$;
--> statement-breakpoint
create trigger audit_is_append_only before update or delete on audit for each row execute function refuse_change();
--> statement-breakpoint
create trigger audit_is_never_emptied before truncate on audit for each statement execute function refuse_change();
