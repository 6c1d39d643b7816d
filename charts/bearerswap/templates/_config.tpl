{{/* The configuration as bearerswap reads it: the user's, and what the chart says itself. */}}
{{- define "bearerswap.config" -}}
{{- $config := deepCopy .Values.config }}
{{- $listen := deepCopy ($config.listen | default dict) }}
{{- if eq .Values.mode "sidecar" }}
{{- $_ := set $listen "grpc" "unix:/run/bearerswap/check.sock" }}
{{- else }}
{{- $_ := set $listen "grpc" (printf "0.0.0.0:%d" (int .Values.ports.grpc)) }}
{{- end }}
{{- $_ := set $listen "http" (printf "0.0.0.0:%d" (int .Values.ports.http)) }}
{{- $_ := set $listen "admin" "unix:/run/bearerswap/admin.sock" }}
{{- $_ := set $config "listen" $listen }}
{{- $_ := set $config "shutdown" (dict "timeout" (printf "%ds" (int .Values.shutdown.timeoutSeconds))) }}
{{- if .Values.valkey.enabled }}
{{- $url := printf "redis://%s-valkey.%s.svc.cluster.local:6379" (include "bearerswap.fullname" .) .Release.Namespace }}
{{- $redis := dict "url" $url "password" "${env:STORE_PASSWORD}" }}
{{- $_ := set $config "store" (merge (dict "redis" $redis) ($config.store | default dict)) }}
{{- end }}
{{- toYaml $config }}
{{- end }}

{{/* The seconds that a replica may need to end. */}}
{{- define "bearerswap.terminationSeconds" -}}
{{- add (int .Values.shutdown.preStopSeconds) (int .Values.shutdown.timeoutSeconds) 5 }}
{{- end }}

{{/* connect.prefix, without its last slash. */}}
{{- define "bearerswap.connectPath" -}}
{{- dig "connect" "prefix" "/_bearerswap/" .Values.config | trimSuffix "/" }}
{{- end }}
