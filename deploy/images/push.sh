#!/bin/sh
# push.sh REGISTRY: builds the images of this commit, pushes them under its name, and writes that name
# into deploy/helm/production.yaml. A registry that takes a tag only once never holds two of one name.
set -eu
registry=${1:?give the registry, such as 000000000000.dkr.ecr.us-east-1.amazonaws.com}
cd "$(dirname "$0")/../.."
[ -z "$(git status --porcelain -- bentos configs deploy/accounts.py deploy/backup.sh deploy/images mlflow pyproject.toml requirements.lock training)" ] || {
    echo "what the images hold is changed and not committed: commit it, for they get the commit's name" >&2
    exit 1
}
tag=0.1.0-$(git rev-parse --short=12 HEAD)
for target in mlflow services stack trainers backup; do
    image=$registry/ascenso-$target:$tag
    docker manifest inspect "$image" >/dev/null 2>&1 && continue # it was pushed before
    docker build -f deploy/images/Dockerfile --target "$target" -t "$image" .
    docker push "$image"
done
values=deploy/helm/production.yaml
sed "s|^  tag: .*|  tag: $tag|" "$values" >"$values.new"
mv "$values.new" "$values"
echo "$tag"
