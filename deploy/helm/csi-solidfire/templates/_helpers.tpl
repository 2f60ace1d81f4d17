{{- define "csi-solidfire.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end }}

{{/* Short enough for the longest ending of ours in a label of 63 characters. */}}
{{- define "csi-solidfire.fullname" -}}
{{- $name := include "csi-solidfire.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{- define "csi-solidfire.selector" -}}
app.kubernetes.io/name: {{ include "csi-solidfire.name" .root | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{/* Labels of pods: without the chart's version, so that a new chart for the same driver replaces no pod. */}}
{{- define "csi-solidfire.podLabels" -}}
{{ include "csi-solidfire.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
{{- with .root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Labels of an object; `component` is what it belongs to. */}}
{{- define "csi-solidfire.labels" -}}
{{ include "csi-solidfire.podLabels" . }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Metadata of an object: `namespace` for one that has any, `labels` and `annotations` of its own. */}}
{{- define "csi-solidfire.metadata" -}}
name: {{ .name | quote }}
{{- with .namespace }}
namespace: {{ . | quote }}
{{- end }}
labels:
  {{- include "csi-solidfire.labels" . | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* A Role in `namespace`, or a ClusterRole without, of `rules`; and its binding to the controller's ServiceAccount. */}}
{{- define "csi-solidfire.grant" -}}
{{- $kind := empty .namespace | ternary "ClusterRole" "Role" -}}
{{- $metadata := include "csi-solidfire.metadata" (dict "root" .root "component" "controller" "name" .name "namespace" .namespace) -}}
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}
metadata:
  {{- $metadata | nindent 2 }}
rules:
  {{- .rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}Binding
metadata:
  {{- $metadata | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ $kind }}
  name: {{ .name | quote }}
subjects:
  - kind: ServiceAccount
    name: {{ include "csi-solidfire.serviceAccount" (dict "root" .root "component" "controller") | quote }}
    namespace: {{ .root.Release.Namespace | quote }}
{{- end }}

{{- define "csi-solidfire.image" -}}
{{- $tag := .image.tag | default .tag -}}
{{- .image.repository -}}:{{- $tag -}}
{{- with .image.digest -}}@{{ . }}{{- end -}}
{{- end }}

{{- define "csi-solidfire.driverImage" -}}
{{- include "csi-solidfire.image" (dict "image" .Values.image "tag" .Chart.AppVersion) -}}
{{- end }}

{{- define "csi-solidfire.imagePullSecrets" -}}
{{- $secrets := .Values.imagePullSecrets -}}
{{- range .Values.global.imagePullSecrets -}}
{{- $secrets = append $secrets (kindIs "string" . | ternary (dict "name" .) .) -}}
{{- end -}}
{{- with uniq $secrets }}{{ toYaml . }}{{- end -}}
{{- end }}

{{- define "csi-solidfire.serviceAccount" -}}
{{- $account := (index .root.Values .component).serviceAccount -}}
{{- if $account.create -}}
{{- $account.name | default (printf "%s-%s" (include "csi-solidfire.fullname" .root) .component) -}}
{{- else -}}
{{- required (printf "%s.serviceAccount.name is needed when the chart does not make the ServiceAccount" .component) $account.name -}}
{{- end -}}
{{- end }}

{{/* The Secret that the chart makes for a cluster whose credentials are values. */}}
{{- define "csi-solidfire.clusterSecret" -}}
{{- printf "%s-cluster-%s" (include "csi-solidfire.fullname" .root) .cluster.name -}}
{{- end }}

{{/* Names of the leases, as the sidecars make them of the driver's name. */}}
{{- define "csi-solidfire.leases" -}}
{{- $name := regexReplaceAll "[^a-zA-Z0-9-]" .Values.driverName "-" -}}
[{{ $name | quote }}, external-attacher-leader-{{ $name }}]
{{- end }}

{{/* Flags that every sidecar has. There is an election with one replica, too: a rolling update starts a second one. */}}
{{- define "csi-solidfire.sidecarArgs" -}}
- --csi-address=/csi/csi.sock
- --v={{ .sidecar.logLevel }}
- --timeout={{ .sidecar.timeout }}
- --worker-threads={{ .sidecar.workerThreads }}
- --retry-interval-max={{ .sidecar.retryIntervalMax }}
- --kube-api-qps={{ .sidecar.kubeApiQps }}
- --kube-api-burst={{ mul 3 (int .sidecar.kubeApiQps) }}
- --http-endpoint=:{{ .sidecar.port }}
- --leader-election
- --leader-election-namespace={{ .root.Release.Namespace }}
- --leader-election-lease-duration={{ .root.Values.leaderElection.leaseDuration }}
- --leader-election-renew-deadline={{ .root.Values.leaderElection.renewDeadline }}
- --leader-election-retry-period={{ .root.Values.leaderElection.retryPeriod }}
{{- end }}

{{/* A sidecar's container but for its arguments. */}}
{{- define "csi-solidfire.sidecar" -}}
{{- $sidecar := index .root.Values.sidecars .name -}}
name: {{ .name }}
image: {{ include "csi-solidfire.image" (dict "image" $sidecar.image "tag" "") | quote }}
imagePullPolicy: {{ $sidecar.image.pullPolicy }}
ports:
  - name: {{ .name }}
    containerPort: {{ $sidecar.port }}
livenessProbe:
  httpGet:
    path: /healthz/leader-election
    port: {{ .name }}
  periodSeconds: 20
  timeoutSeconds: 5
# It says nothing before the driver has answered it, so it may begin as late as the driver.
startupProbe:
  httpGet:
    path: /healthz/leader-election
    port: {{ .name }}
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 120
{{- with $sidecar.extraEnv }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
resources:
  {{- toYaml $sidecar.resources | nindent 2 }}
securityContext:
  {{- toYaml .root.Values.controller.securityContext | nindent 2 }}
volumeMounts:
  - name: socket
    mountPath: /csi
{{- end }}

{{- define "csi-solidfire.affinity" -}}
{{- $controller := .Values.controller -}}
{{- $affinity := deepCopy $controller.affinity -}}
{{- if and (ne $controller.antiAffinity "none") (not (hasKey $affinity "podAntiAffinity")) -}}
{{- $labels := include "csi-solidfire.selector" (dict "root" . "component" "controller") | fromYaml -}}
{{- $term := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" $labels) -}}
{{- if eq $controller.antiAffinity "hard" -}}
{{- $_ := set $affinity "podAntiAffinity" (dict "requiredDuringSchedulingIgnoredDuringExecution" (list $term)) -}}
{{- else -}}
{{- $soft := list (dict "weight" 100 "podAffinityTerm" $term) -}}
{{- $_ := set $affinity "podAntiAffinity" (dict "preferredDuringSchedulingIgnoredDuringExecution" $soft) -}}
{{- end -}}
{{- end -}}
{{- with $affinity }}{{ toYaml . }}{{- end }}
{{- end }}

{{/* Pods that must keep apart need one to go first: with as many nodes as replicas there is no room for one more. */}}
{{- define "csi-solidfire.strategy" -}}
{{- $strategy := deepCopy .Values.controller.updateStrategy -}}
{{- if and (eq .Values.controller.antiAffinity "hard") (ne $strategy.type "Recreate") (not $strategy.rollingUpdate) -}}
{{- $_ := set $strategy "rollingUpdate" (dict "maxSurge" 0 "maxUnavailable" 1) -}}
{{- end -}}
{{- toYaml $strategy -}}
{{- end }}

{{/* Refuse what no schema can: names that are taken or lead nowhere. */}}
{{- define "csi-solidfire.check" -}}
{{- range list "serviceMonitor" "prometheusRule" -}}
{{- if and (index $.Values.metrics .).enabled (not $.Values.metrics.enabled) -}}
{{ fail (printf "metrics.%s.enabled needs metrics.enabled" .) }}
{{- end -}}
{{- end -}}
{{- $ports := dict -}}
{{- range $value, $part := dict "controller.port" .Values.controller "sidecars.provisioner.port" .Values.sidecars.provisioner "sidecars.attacher.port" .Values.sidecars.attacher -}}
{{- $port := toString $part.port -}}
{{- if hasKey $ports $port -}}
{{ fail (printf "%s and %s are both %s, and are of one pod" (get $ports $port) $value $port) }}
{{- end -}}
{{- $_ := set $ports $port $value -}}
{{- end -}}
{{- $names := list -}}
{{- range .Values.clusters -}}
{{- if has .name $names -}}{{ fail (printf "clusters: two are called %s" .name) }}{{- end -}}
{{- $names = append $names .name -}}
{{- end -}}
{{- $classes := list -}}
{{- range .Values.storageClasses -}}
{{- if has .name $classes -}}{{ fail (printf "storageClasses: two are called %s" .name) }}{{- end -}}
{{- $classes = append $classes .name -}}
{{- if and .cluster (not (has .cluster $names)) -}}
{{ fail (printf "storageClasses: %s wants cluster %s, but clusters has: %s" .name .cluster (join ", " $names)) }}
{{- end -}}
{{- $class := . -}}
{{- range keys (.parameters | default dict) | sortAlpha -}}
{{- if and $class.secret (contains "-secret-" .) -}}
{{ fail (printf "storageClasses: %s has secret, and %s among its parameters: it can have one of them" $class.name .) }}
{{- end -}}
{{- end -}}
{{- if not (or .secret (hasKey (.parameters | default dict) "csi.storage.k8s.io/provisioner-secret-name")) -}}
{{- if not $names -}}
{{ fail "clusters is empty. Give at least one, for example:\n  clusters:\n    - name: main\n      endpoint: https://sf-mvip.example.org\n      existingSecret: solidfire-main   # a Secret with username and password" }}
{{- end -}}
{{- if and (gt (len $names) 1) (not .cluster) -}}
{{ fail (printf "storageClasses: %s must say which cluster it is for: %s" .name (join ", " $names)) }}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end }}
