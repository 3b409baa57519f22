{{/* One helper a thing that several templates have. */}}

{{- define "ascenso.labels" -}}
app.kubernetes.io/part-of: ascenso
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The image of a target of deploy/images/Dockerfile: list root target. */}}
{{- define "ascenso.image" -}}
{{- $root := index . 0 }}{{ $target := index . 1 }}
{{- $images := $root.Values.images }}
{{- with $images.registry }}{{ . }}/{{ end }}ascenso-{{ $target }}
{{- with index $images.digests $target }}@{{ . }}{{ else }}:{{ $images.tag }}{{ end }}
{{- end }}

{{/* A pod's own part, of the user that its image has: list user. */}}
{{- define "ascenso.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false # a service named mlflow would set MLFLOW_PORT
securityContext:
  runAsNonRoot: true
  runAsUser: {{ . }}
  runAsGroup: {{ . }}
  fsGroup: {{ . }}
  seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "ascenso.container" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end }}

{{/* A dictionary as variables. */}}
{{- define "ascenso.env" -}}
{{- range $name, $value := . -}}
- {name: {{ $name }}, value: {{ $value | toString | quote }}}
{{ end }}
{{- end }}

{{/* Keys of the secret as files, which with-secrets makes variables: list root {variable: key}. */}}
{{- define "ascenso.keys" -}}
{{- $root := index . 0 -}}
- name: keys
  secret:
    secretName: {{ $root.Values.secret.name }}
    items:
    {{- range $variable, $key := index . 1 }}
      - {key: {{ $key }}, path: {{ $variable }}}
    {{- end }}
{{- end }}

{{/* What whoever calls the bucket needs. */}}
{{- define "ascenso.storeEnv" -}}
AWS_DEFAULT_REGION: {{ .Values.store.region }}
{{- with include "ascenso.endpoint" . }}
AWS_ENDPOINT_URL: {{ . }}
{{- end }}
{{- end }}

{{- define "ascenso.endpoint" -}}
{{ .Values.store.own | ternary "http://s3:9000" .Values.store.endpoint }}
{{- end }}

{{- define "ascenso.storeKeys" -}}
{{- if or .Values.store.own .Values.store.keys -}}
AWS_ACCESS_KEY_ID: AWS_ACCESS_KEY_ID
AWS_SECRET_ACCESS_KEY: AWS_SECRET_ACCESS_KEY
{{- end }}
{{- end }}

{{/* Where MLflow is. */}}
{{- define "ascenso.registry" -}}
{{ default "http://mlflow:5000" .Values.registry.uri }}
{{- end }}

{{/* What whoever asks the registry needs, as an account of it: list root account. */}}
{{- define "ascenso.clientEnv" -}}
{{- $root := index . 0 -}}
MLFLOW_TRACKING_URI: {{ include "ascenso.registry" $root }}
MLFLOW_TRACKING_USERNAME: {{ index . 1 }}
ASCENSO_DATA: s3://{{ $root.Values.store.bucket }}/data
{{- if $root.Values.configs }}
ASCENSO_CONFIGS: /etc/ascenso/configs
{{- end }}
{{ include "ascenso.storeEnv" $root }}
{{- end }}

{{/* A variable for each section of the settings, the service's own last: list root service. */}}
{{- define "ascenso.settings" -}}
{{- $root := index . 0 }}{{ $service := index . 1 }}
{{- $made := dict
  "services" (dict "workers" $service.workers)
  "cache" (dict "bytes" (div (mul $service.disk.state 1073741824) 2))
  "recording" (dict "uri" (printf "s3://%s/recordings" $root.Values.store.bucket))
  "security" (dict "guarded" $root.Values.guarded) }}
{{- if $root.Values.tracing.endpoint }}
{{- $_ := set $made "tracing" (dict "exporter" "otlp") }}
{{- end }}
{{- with $root.Values.sso }}
{{- if .enabled }}
{{- $_ := set $made.security "issuers" (dict .issuer (dict "audience" .client "name" .name "admins" .admins)) }}
{{- end }}
{{- end }}
{{- if $service.grpc }}
{{- $_ := set $made "grpc" (dict "port" 8001) }}
{{- end }}
{{- $registry := dict }}
{{- if eq $root.Values.store.artifacts "s3" }}
{{- $registry = dict "artifacts" "s3" "s3_root" (printf "s3://%s/mlflow" $root.Values.store.bucket) }}
{{- end }}
{{- if $root.Values.relay.enabled }}
{{- $_ := set $registry "direct" (include "ascenso.registry" $root) }}
{{- end }}
{{- if $registry }}
{{- $_ := set $made "registry" $registry }}
{{- end }}
{{- range $section, $keys := mergeOverwrite $made (deepCopy $root.Values.settings) $service.settings }}
ASCENSO_{{ upper $section }}: {{ toJson $keys | quote }}
{{- end }}
{{- end }}

{{- define "ascenso.resources" -}}
requests: {cpu: {{ .cpu.request }}, memory: {{ .memory.request }}}
limits: {cpu: {{ .cpu.limit }}, memory: {{ .memory.limit }}}
{{- end }}

{{/* A volume that a StatefulSet asks for: list root name GiB. */}}
{{- define "ascenso.claim" -}}
- metadata: {name: {{ index . 1 }}}
  spec:
    accessModes: [ReadWriteOnce]
    {{- with (index . 0).Values.storage.class }}
    storageClassName: {{ . }}
    {{- end }}
    resources: {requests: {storage: {{ index . 2 }}Gi}}
{{- end }}

{{/* What MLflow's server and its migration are configured by. */}}
{{- define "ascenso.mlflowEnv" -}}
{{- $hosts := list "mlflow:5000" (printf "mlflow.%s:5000" .Release.Namespace) "localhost:5000" -}}
MLFLOW_BACKEND_STORE_URI: postgresql+psycopg2://
MLFLOW_ARTIFACTS_DESTINATION: s3://{{ .Values.store.bucket }}/mlflow
MLFLOW_AUTH_CONFIG_PATH: /app/mlflow/auth.ini
MLFLOW_AUTH_ADMIN_USERNAME: admin
{{- if .Values.sso.enabled }}
ASCENSO_OIDC_ISSUER: {{ .Values.sso.issuer }}
ASCENSO_OIDC_AUDIENCE: {{ .Values.sso.client }}
ASCENSO_OIDC_NAME: {{ .Values.sso.name }}
{{- end }}
MLFLOW_WORKERS: {{ .Values.registry.workers }}
MLFLOW_UVICORN_OPTS: --timeout-keep-alive 160 # above the load balancer's 150 s
MLFLOW_SERVER_ALLOWED_HOSTS: {{ join "," (without (append $hosts .Values.registry.host) "") }}
{{- with .Values.registry.host }}
MLFLOW_SERVER_CORS_ALLOWED_ORIGINS: https://{{ . }} # else its own pages may change nothing
{{- end }}
{{- if .Values.registry.accounts.configMap }}
ASCENSO_ACCOUNTS: {{ include "ascenso.accountsFile" . }}
{{- end }}
# The services are at a private address without TLS, which MLflow refuses otherwise.
MLFLOW_WEBHOOK_ALLOWED_SCHEMES: http,https
MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS: "true"
{{ include "ascenso.databaseEnv" . }}
{{ include "ascenso.storeEnv" . }}
{{- end }}

{{/* Where the database is, and how it shows whose it is. */}}
{{- define "ascenso.databaseEnv" -}}
PGHOST: {{ .Values.database.own | ternary "postgres" .Values.database.host }}
PGDATABASE: {{ .Values.database.name }}
PGUSER: {{ .Values.database.user }}
{{- if not .Values.database.own }}
PGSSLMODE: {{ .Values.database.sslmode }}
{{- if include "ascenso.verified" . }}
PGSSLROOTCERT: /etc/ascenso/database/{{ .Values.database.ca.file }}
{{- end }}
{{- end }}
{{- end }}

{{/* Where the history is that all pods share: as the database of MLflow, but for name and user. */}}
{{- define "ascenso.ledgerEnv" -}}
{{- $env := include "ascenso.databaseEnv" . | fromYaml }}
{{- $own := dict "PGDATABASE" .Values.database.ledger "PGUSER" .Values.database.ledger "ASCENSO_LEDGER__URL" "postgresql://" }}
{{- toYaml (mergeOverwrite $env $own) }}
{{- end }}

{{/* Whether the database must show whose it is. */}}
{{- define "ascenso.verified" -}}
{{- if and (not .Values.database.own) (hasPrefix "verify-" .Values.database.sslmode) }}true{{ end }}
{{- end }}

{{- define "ascenso.databaseMounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: keys, mountPath: /run/secrets, readOnly: true}
{{- if include "ascenso.verified" . }}
- {name: database-ca, mountPath: /etc/ascenso/database, readOnly: true}
{{- end }}
{{- end }}

{{/* Where spans go, and which: list root name. */}}
{{- define "ascenso.tracingEnv" -}}
{{- with (index . 0).Values.tracing }}
{{- if .endpoint -}}
OTEL_EXPORTER_OTLP_ENDPOINT: {{ .endpoint }}
OTEL_SERVICE_NAME: {{ index $ 1 }}
OTEL_TRACES_SAMPLER: parentbased_traceidratio
OTEL_TRACES_SAMPLER_ARG: {{ .share | toString | quote }}
{{- end }}
{{- end }}
{{- end }}

{{/* The port of an address: its own, or its scheme's. */}}
{{- define "ascenso.port" -}}
{{- regexFind ":[0-9]+" (urlParse .).host | trimPrefix ":" | default (hasPrefix "https:" . | ternary "443" "80") }}
{{- end }}

{{/* The way to MLflow: this release's own, or the one at registry.uri. */}}
{{- define "ascenso.toRegistry" -}}
{{- with .Values.registry.uri -}}
- ports: [{port: {{ include "ascenso.port" . }}}]
{{- else -}}
- ports: [{port: 5000}]
  to: [{podSelector: {matchLabels: {ascenso/part: mlflow}}}]
{{- end }}
{{- end }}

{{/* Where the users, roles and teams of MLflow stand, if not in the image. */}}
{{- define "ascenso.accountsFile" -}}
{{ .Values.registry.accounts.configMap | empty | not | ternary "/etc/ascenso/accounts/accounts.yaml" "mlflow/accounts.yaml" }}
{{- end }}

{{- define "ascenso.accountsMount" -}}
{{- if .Values.registry.accounts.configMap -}}
- {name: accounts, mountPath: /etc/ascenso/accounts, readOnly: true}
{{- end }}
{{- end }}

{{- define "ascenso.accountsVolume" -}}
{{- with .Values.registry.accounts.configMap -}}
- {name: accounts, configMap: {name: {{ . }}}}
{{- end }}
{{- end }}

{{/* The pod that makes users and roles: list root restartPolicy arguments. */}}
{{- define "ascenso.accounts" -}}
{{- $root := index . 0 -}}
metadata:
  labels: {{- include "ascenso.labels" $root | nindent 4 }}
    ascenso/part: accounts
    {{- if index . 2 }}
    ascenso/follows: "true"
    {{- end }}
spec:
  restartPolicy: {{ index . 1 }}
  {{- include "ascenso.pod" 10001 | nindent 2 }}
  containers:
    - name: mlflow-accounts
      image: {{ include "ascenso.image" (list $root "mlflow") }}
      args: {{ toJson (concat (list "python" "-m" "deploy.accounts" (include "ascenso.accountsFile" $root)) (index . 2)) }}
      env:
        - {name: MLFLOW_TRACKING_URI, value: "http://mlflow:5000"}
        - {name: MLFLOW_AUTH_ADMIN_USERNAME, value: admin}
      resources:
        requests: {cpu: {{ index . 2 | empty | ternary "250m" "25m" }}, memory: {{ index . 2 | empty | ternary "512Mi" "128Mi" }}}
        limits: {cpu: 1000m, memory: 1Gi}
      {{- include "ascenso.container" $root | nindent 6 }}
      volumeMounts:
        - {name: tmp, mountPath: /tmp}
        - {name: keys, mountPath: /run/secrets, readOnly: true}
        {{- include "ascenso.accountsMount" $root | nindent 8 }}
  volumes:
    {{- $keys := dict "MLFLOW_AUTH_ADMIN_PASSWORD" "MLFLOW_AUTH_ADMIN_PASSWORD" }}
    {{- range concat (list "trainer" "promoter" "service" "forecaster") $root.Values.registry.accounts.users }}
    {{- $key := printf "MLFLOW_PASSWORD_%s" (. | upper | replace "-" "_") }}
    {{- $_ := set $keys $key $key }}
    {{- end }}
    {{- include "ascenso.keys" (list $root $keys) | nindent 4 }}
    {{- include "ascenso.accountsVolume" $root | nindent 4 }}
    - {name: tmp, emptyDir: {sizeLimit: 1Gi}}
{{- end }}

{{/* What the company's login stands before, by name: its host, where it is, and what asks how it is. */}}
{{- define "ascenso.sso" -}}
{{- if .Values.sso.enabled }}
{{- if and .Values.registry.host (not .Values.registry.uri) }}
mlflow: {host: {{ .Values.registry.host }}, upstream: "http://mlflow:5000", health: /health}
{{- end }}
{{- range $name, $given := .Values.services }}
{{- $service := mergeOverwrite (deepCopy $.Values.service) $given }}
{{- if and $service.enabled $service.host (has $name $.Values.sso.consoles) }}
{{ $name }}: {host: {{ $service.host }}, upstream: "http://{{ $name }}:80", health: /readyz}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
