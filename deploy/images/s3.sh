#!/bin/sh
# Serves a folder as S3: serve-s3 FOLDER ADDRESS, with the one key of the AWS variables.
set -eu
export RCLONE_AUTH_KEY="\"$AWS_ACCESS_KEY_ID,$AWS_SECRET_ACCESS_KEY\"" # quoted: a list of one pair
exec rclone serve s3 --config "" --addr "$2" "$1"
