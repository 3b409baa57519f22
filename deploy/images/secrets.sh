#!/bin/sh
# Runs a command with the files of SECRETS_DIR (/run/secrets) as variables of their names, so that
# no secret stands in an image, a compose file or a pod.
set -eu

for file in "${SECRETS_DIR:-/run/secrets}"/*; do
    name=${file##*/}
    case $name in
    '*' | [!A-Z]* | *[!A-Z0-9_]*) continue ;; # no file at all, or no variable's name
    esac
    value=$(cat "$file")
    export "$name=$value"
done

exec "$@"
