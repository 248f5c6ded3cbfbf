-- Run once by the image of PostgreSQL, on an empty volume. The API's role owns its database and is no superuser.
\getenv password DATABASE_PASSWORD
create role hospital login password :'password';
create database hospital owner hospital;
