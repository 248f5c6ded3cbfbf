-- Run once per server, by who may create roles and databases. Two roles: `hospital` owns the database and migrates it;
-- `hospital_api` serves, and can neither change the schema nor lift the triggers that keep the trail as it was written.
\getenv owner_password DATABASE_PASSWORD
\getenv api_password DATABASE_API_PASSWORD
create role hospital login password :'owner_password';
create role hospital_api login password :'api_password';
-- Who is no superuser may only give a database to a role that they are in.
grant hospital to current_user;
create database hospital owner hospital;
\connect hospital
alter default privileges for role hospital grant usage on schemas to hospital_api;
alter default privileges for role hospital grant select, insert, update, delete on tables to hospital_api;
