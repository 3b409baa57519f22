#!/bin/sh
# backup.sh save FOLDER      copies the registry and the bucket into a folder
# backup.sh restore FOLDER   fills an empty database and a bucket from it
#
# PGHOST, PGDATABASE, PGUSER, PGPASSWORD name the database, S3_BUCKET and the AWS variables the
# bucket. Serving goes on meanwhile. The registry is saved first and restored last: so the bucket's
# copy has the files of every version that the registry's copy knows.
set -eu
what=${1:-}
folder=${2:?give a folder: backup.sh save|restore FOLDER}
bucket=store:${S3_BUCKET:?give the name of the bucket}

export RCLONE_CONFIG_STORE_TYPE=s3 RCLONE_CONFIG_STORE_ENV_AUTH=true
if [ -n "${AWS_ENDPOINT_URL:-}" ]; then
    export RCLONE_CONFIG_STORE_PROVIDER=Other RCLONE_CONFIG_STORE_ENDPOINT="$AWS_ENDPOINT_URL"
else
    export RCLONE_CONFIG_STORE_PROVIDER=AWS RCLONE_CONFIG_STORE_REGION="${AWS_DEFAULT_REGION:?}"
fi

copy() { # FROM TO, by content
    if [ -t 2 ]; then set -- --progress "$@"; else set -- --stats 30s --stats-one-line -v "$@"; fi
    rclone --config "" sync --checksum "$@"
}

case $what in
save)
    mkdir -p "$folder"
    pg_dump --format=custom --no-owner --file="$folder/registry.new"
    mv "$folder/registry.new" "$folder/registry.dump"
    copy "$bucket" "$folder/bucket"
    ;;
restore)
    tables=$(psql -Atc "select count(*) from information_schema.tables where table_schema = 'public'")
    [ "$tables" = 0 ] || {
        echo "the database $PGDATABASE has $tables tables: restore into an empty one" >&2
        exit 1
    }
    rclone --config "" mkdir "$bucket"
    copy "$folder/bucket" "$bucket"
    pg_restore --no-owner --single-transaction --exit-on-error --dbname="$PGDATABASE" "$folder/registry.dump"
    ;;
*)
    echo "backup.sh save|restore FOLDER" >&2
    exit 2
    ;;
esac
