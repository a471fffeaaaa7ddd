#!/bin/sh
# Makes databases and users on a new PostgreSQL server; may be run again. Needs psql 15 or newer, and to be a superuser.
# The owner migrates; the worker is who the API and the runs are, and may only take on the roles that policies bind.
set -eu

: "${OWNER_PASSWORD:?}" "${WORKER_PASSWORD:?}" "${DAGSTER_PASSWORD:?}"
export OWNER_PASSWORD WORKER_PASSWORD DAGSTER_PASSWORD

# Passwords come by the environment: arguments are there for everybody to see who lists processes.
psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\getenv owner_password OWNER_PASSWORD
\getenv worker_password WORKER_PASSWORD
\getenv dagster_password DAGSTER_PASSWORD

select format('create role %I', name) from unnest(array[
    'pipeline_owner', 'pipeline_worker', 'dagster', 'mailchimp_pipeline_app', 'mailchimp_pipeline_overview'
]) as name where not exists (select from pg_roles where rolname = name) \gexec

alter role pipeline_owner login password :'owner_password';
alter role pipeline_worker login password :'worker_password';
alter role dagster login password :'dagster_password';
grant mailchimp_pipeline_app, mailchimp_pipeline_overview to pipeline_owner, pipeline_worker with inherit false, set true;

select format('create database %I', name) from unnest(array['mailchimp_pipeline', 'dagster']) as name
where not exists (select from pg_database where datname = name) \gexec

alter database mailchimp_pipeline owner to pipeline_owner;
alter database dagster owner to dagster;
revoke connect on database mailchimp_pipeline, dagster from public;
grant connect on database mailchimp_pipeline to pipeline_worker;
SQL
