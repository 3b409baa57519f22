#!/bin/sh
# apply.sh OVERLAY: migrates the registry's database, then rolls everything out, and waits for it.
# First, once: kubectl -n NAMESPACE create secret generic ascenso --from-file=FOLDER, with the folder
# that deploy/compose/keys.sh makes.
set -eu
overlay=${1:?give an overlay, such as deploy/k8s/overlays/production}
namespace=$(sed -n 's/^namespace: //p' "$overlay/kustomization.yaml")

apply() {
    kubectl apply -k "$overlay" "$@"
}

# A job cannot be changed, only made again.
kubectl -n "$namespace" delete job mlflow-migrate mlflow-accounts --ignore-not-found
apply -l ascenso/step=prepare
kubectl -n "$namespace" wait --for=condition=complete --timeout=30m job/mlflow-migrate
apply
for pods in $(kubectl -n "$namespace" get deployment,statefulset -o name); do
    kubectl -n "$namespace" rollout status --timeout=15m "$pods"
done
kubectl -n "$namespace" wait --for=condition=complete --timeout=10m job/mlflow-accounts
