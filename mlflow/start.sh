#!/bin/sh
# Starts the tracking server; `start.sh migrate` brings the database's schemas up to date and ends.
# Everything is set by the environment, under MLflow's and PostgreSQL's own names, so that no
# password stands on a command line:
#
#   MLFLOW_BACKEND_STORE_URI      where runs and the registry are kept   (required)
#                                 postgresql+psycopg2:// takes the rest from PGHOST, PGPORT,
#                                 PGDATABASE, PGUSER, PGPASSWORD, PGSSLMODE, PGSSLROOTCERT
#   MLFLOW_ARTIFACTS_DESTINATION  where the artifact proxy keeps files   (required)
#   MLFLOW_HOST, MLFLOW_PORT      where it listens                       (127.0.0.1, 5000)
#   MLFLOW_WORKERS                server processes                       (1)
#   MLFLOW_UVICORN_OPTS           such as --timeout-keep-alive 160, above a load balancer's (5 s)
#   MLFLOW_SERVER_ALLOWED_HOSTS   Host headers it answers to             (localhost, private IPs)
#   MLFLOW_SERVER_CORS_ALLOWED_ORIGINS    pages that may change something (localhost): its own
#                                 address too, such as https://mlflow.example.com, or its UI gets 403
#   MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY  a Fernet key; without one, a restart loses the secrets of
#                                 the webhooks, and with them the webhooks
#   MLFLOW_WEBHOOK_ALLOWED_SCHEMES, MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS     (https, false)
#   AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_ENDPOINT_URL           for s3:// destinations
#
# With users (accounts.yaml tells who may do what):
#
#   MLFLOW_AUTH_CONFIG_PATH       auth.ini beside this script; without it, everyone may do all
#   ASCENSO_ACCOUNTS              accounts.yaml beside this script, which names the teams
#   ASCENSO_OIDC_ISSUER, ASCENSO_OIDC_AUDIENCE, ASCENSO_OIDC_NAME   whose tokens open it, too
#   MLFLOW_AUTH_ADMIN_USERNAME, MLFLOW_AUTH_ADMIN_PASSWORD   made at the first start, 12 characters
#   MLFLOW_FLASK_SERVER_SECRET_KEY                           the same for all server processes
set -eu

: "${MLFLOW_BACKEND_STORE_URI:?give the database, such as sqlite:////var/lib/mlflow/mlflow.db}"
: "${MLFLOW_ARTIFACTS_DESTINATION:?give the artifact store, such as s3://bucket/prefix}"

case $MLFLOW_BACKEND_STORE_URI in
*://*:*@*)
    echo "MLFLOW_BACKEND_STORE_URI holds a password, and ps would show it: give it by PGPASSWORD" >&2
    exit 1
    ;;
esac

command -v mlflow >/dev/null || {
    echo "mlflow is not on PATH: activate the environment that it is installed in" >&2
    exit 127
}

export MLFLOW_HOST="${MLFLOW_HOST:-127.0.0.1}"
export MLFLOW_PORT="${MLFLOW_PORT:-5000}"
export MLFLOW_WORKERS="${MLFLOW_WORKERS:-1}"
export MLFLOW_SERVE_ARTIFACTS=true
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false
export MLFLOW_DISABLE_TELEMETRY=true
# This script's folder is called mlflow too: no import may look in the working directory.
export PYTHONSAFEPATH=1
# For ascenso_teams.py and ascenso_oidc.py; nothing of these names is beside it.
PYTHONPATH="$(cd "$(dirname "$0")" && pwd)${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONPATH

if [ "${1:-}" = migrate ]; then
    mlflow db upgrade "$MLFLOW_BACKEND_STORE_URI" # first: the users' tables may share its database
    [ -z "${MLFLOW_AUTH_CONFIG_PATH:-}" ] ||
        python -m mlflow.server.auth db upgrade --url "$MLFLOW_BACKEND_STORE_URI"
    exit
fi

if [ -n "${MLFLOW_AUTH_CONFIG_PATH:-}" ]; then
    : "${MLFLOW_FLASK_SERVER_SECRET_KEY:?give a random string, the same for all server processes}"
    set -- --app-name basic-auth "$@"
fi

exec mlflow server "$@"
