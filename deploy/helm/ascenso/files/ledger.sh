#!/bin/sh
# Makes the database that all replicas keep their history in, and a role that owns it and nothing
# else. PostgreSQL's image runs it when its data are made; run again, it changes nothing.
set -eu

export PGUSER="$POSTGRES_USER" PGDATABASE="$POSTGRES_DB"
LEDGER_PASSWORD=$(cat "${LEDGER_PASSWORD_FILE:-/run/secrets/LEDGER_PASSWORD}")
export LEDGER_PASSWORD # an argument would show in the list of processes
psql -q -v ON_ERROR_STOP=1 -v name="${LEDGER:-ledger}" <<'END'
\getenv word LEDGER_PASSWORD
SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', :'name', :'word')
WHERE NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = :'name') \gexec
SELECT format('CREATE DATABASE %I OWNER %I', :'name', :'name')
WHERE NOT EXISTS (SELECT 1 FROM pg_database WHERE datname = :'name') \gexec
END
