#!/bin/sh
# Makes the secrets that docker-compose.yml names, each a file in deploy/compose/secrets; those that
# exist stay. The folder is closed to others; the files are open, for a container's user reads them.
set -eu
folder=${1:-$(dirname "$0")/secrets}
umask 077
mkdir -p "$folder"

make() { # NAME: its value comes from standard input
    [ -s "$folder/$1" ] && return
    tr -d '\n' >"$folder/$1.new"
    chmod 444 "$folder/$1.new"
    mv "$folder/$1.new" "$folder/$1"
    echo "made $1"
}

for name in PGPASSWORD LEDGER_PASSWORD AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY ASCENSO_WEBHOOK_SECRET \
    ASCENSO_SECURITY__SECRET ASCENSO_ADMIN_KEY MLFLOW_AUTH_ADMIN_PASSWORD \
    MLFLOW_FLASK_SERVER_SECRET_KEY MLFLOW_PASSWORD_TRAINER MLFLOW_PASSWORD_PROMOTER \
    MLFLOW_PASSWORD_SERVICE MLFLOW_PASSWORD_FORECASTER REDIS_PASSWORD GRAFANA_PASSWORD; do
    od -An -N24 -tx1 /dev/urandom | tr -d ' ' | make "$name"
done
# A Fernet key.
head -c 32 /dev/urandom | base64 | tr '+/' '-_' | make MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY
# What the services need to find Redis; another server's address may stand here.
echo "redis://:$(cat "$folder/REDIS_PASSWORD")@redis:6379/0" | make REDIS_URL
