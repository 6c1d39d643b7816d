{{- define "bearerswap.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 52 | trimSuffix "-" }}
{{- end }}

{{/* At most 52 characters, so that suffixes have room in a name of 63. */}}
{{- define "bearerswap.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "bearerswap.name" .) .Release.Name }}
{{- .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "bearerswap.name" .) | trunc 52 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "bearerswap.serviceHost" -}}
{{ include "bearerswap.fullname" . }}.{{ .Release.Namespace }}.svc.cluster.local
{{- end }}

{{- define "bearerswap.selectorLabels" -}}
app.kubernetes.io/name: {{ include "bearerswap.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "bearerswap.labels" -}}
{{ include "bearerswap.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* Valkey's own: no selector of bearerswap's takes its pod. */}}
{{- define "bearerswap.valkeyLabels" -}}
app.kubernetes.io/name: {{ include "bearerswap.name" . }}-valkey
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "bearerswap.image" -}}
{{- $repository := required "image.repository: say where your image of bearerswap is. There is no public one: build it with the Dockerfile of bearerswap's repository" .Values.image.repository }}
{{- if .Values.image.digest }}
{{- printf "%s@%s" $repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" $repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- end }}
{{- end }}

{{- define "bearerswap.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- .Values.serviceAccount.name | default (include "bearerswap.fullname" .) }}
{{- else }}
{{- .Values.serviceAccount.name | default "default" }}
{{- end }}
{{- end }}

{{/* Whether a ConfigMap or a Secret of the user's holds the configuration. */}}
{{- define "bearerswap.configIsTheirs" -}}
{{- if or .Values.existingConfigMap .Values.existingConfigSecret }}true{{ end }}
{{- end }}

{{/* What refuses values that would lose grants, or let strangers ask. */}}
{{- define "bearerswap.validate" -}}
{{- $config := .Values.config }}
{{- if include "bearerswap.configIsTheirs" . }}
{{- if $config }}{{ fail "config and existingConfigMap or existingConfigSecret were given: say one of them" }}{{ end }}
{{- if and .Values.existingConfigMap .Values.existingConfigSecret }}{{ fail "existingConfigMap and existingConfigSecret were given: say one of them" }}{{ end }}
{{- else }}
{{- if not (and $config.sessions $config.upstreams) }}{{ fail "config: sessions and upstreams are needed. docs/kubernetes.md has a configuration to begin with" }}{{ end }}
{{- if and .Values.valkey.enabled (hasKey $config "store") (or (hasKey $config.store "redis") (hasKey $config.store "memory")) }}{{ fail "config.store and valkey.enabled were given: with valkey.enabled the chart says config.store itself" }}{{ end }}
{{- $isShared := or .Values.valkey.enabled (and (hasKey $config "store") (hasKey $config.store "redis")) }}
{{- if and (eq .Values.mode "deployment") (not $isShared) (or .Values.autoscaling.enabled (gt (int .Values.replicas) 1)) }}{{ fail "config.store: more than one replica needs a store that they share. Say config.store.redis, or valkey.enabled=true, or replicas=1: without it each replica would know other grants, and users would be sent to log in" }}{{ end }}
{{- end }}
{{- if .Values.valkey.enabled }}{{ $_ := required "valkey.existingSecret: name a Secret with Valkey's password under the key valkey.passwordKey" .Values.valkey.existingSecret }}{{ end }}
{{- if and (eq .Values.mode "sidecar") (or .Values.envoyGateway.enabled .Values.istio.enabled) }}{{ fail "mode=sidecar goes with an Envoy of your own: envoyGateway and istio need mode=deployment" }}{{ end }}
{{- end }}
