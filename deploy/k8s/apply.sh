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

if kubectl kustomize "$overlay" | grep -q '^apiVersion: monitoring.coreos.com/'; then
    kubectl api-resources --api-group=monitoring.coreos.com -o name | grep -q '^servicemonitors' || {
        echo "the cluster has no Prometheus operator: install it, or take ../../monitoring out of $overlay" >&2
        exit 1
    }
fi

# A service is ready once a version of its model was promoted, so only those that serve are waited for.
serve='{{range .items}}{{if .status.availableReplicas}}{{.kind}}/{{.metadata.name}} {{end}}{{end}}'
serving=$(kubectl -n "$namespace" get deployment,statefulset -l app.kubernetes.io/name -o go-template="$serve")

# A job cannot be changed, only made again.
kubectl -n "$namespace" delete job mlflow-migrate mlflow-accounts --ignore-not-found
apply -l ascenso/step=prepare
kubectl -n "$namespace" wait --for=condition=complete --timeout=30m job/mlflow-migrate
apply
others=$(kubectl -n "$namespace" get deployment,statefulset -l '!app.kubernetes.io/name' -o name)
for pods in $others $serving; do
    kubectl -n "$namespace" rollout status --timeout=15m "$pods"
done
kubectl -n "$namespace" wait --for=condition=complete --timeout=10m job/mlflow-accounts
echo "rolled out; a service that served nothing before is ready once a version is promoted"
