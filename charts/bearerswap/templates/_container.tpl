{{/* Ports' names are shared by all containers of a pod. */}}
{{- define "bearerswap.httpPort" -}}
{{ if eq .Values.mode "sidecar" }}bearerswap-http{{ else }}http{{ end }}
{{- end }}

{{/* The container, but for what differs between a pod of its own and a sidecar. */}}
{{- define "bearerswap.container" -}}
{{- $http := include "bearerswap.httpPort" . -}}
name: bearerswap
image: {{ include "bearerswap.image" . }}
imagePullPolicy: {{ .Values.image.pullPolicy }}
args: [serve, --config, /etc/bearerswap/bearerswap.yaml]
{{- $env := .Values.env }}
{{- if .Values.valkey.enabled }}
{{- $reference := dict "name" .Values.valkey.existingSecret "key" .Values.valkey.passwordKey }}
{{- $env = append $env (dict "name" "STORE_PASSWORD" "valueFrom" (dict "secretKeyRef" $reference)) }}
{{- end }}
{{- with $env }}
env:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.envFrom }}
envFrom:
  {{- toYaml . | nindent 2 }}
{{- end }}
ports:
  {{- if eq .Values.mode "deployment" }}
  - {name: grpc, containerPort: {{ .Values.ports.grpc }}}
  {{- end }}
  - {name: {{ $http }}, containerPort: {{ .Values.ports.http }}}
# None asks the store: an outage of the store must not take away replicas that can still serve tokens from memory.
livenessProbe:
  httpGet: {path: /livez, port: {{ $http }}}
  periodSeconds: 10
  timeoutSeconds: 5
readinessProbe:
  httpGet: {path: /readyz, port: {{ $http }}}
  periodSeconds: 5
resources:
  {{- toYaml .Values.resources | nindent 2 }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  runAsNonRoot: true
  runAsUser: 1000
  runAsGroup: 1000
  capabilities: {drop: [ALL]}
volumeMounts:
  # Whole folders: with subPath a changed ConfigMap or Secret would not arrive.
  - {name: bearerswap-config, mountPath: /etc/bearerswap, readOnly: true}
  - {name: bearerswap-run, mountPath: /run/bearerswap}
  {{- if .Values.secretName }}
  - {name: bearerswap-secrets, mountPath: /run/secrets/bearerswap, readOnly: true}
  {{- end }}
  {{- with .Values.extraVolumeMounts }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "bearerswap.volumes" -}}
- name: bearerswap-config
  {{- if .Values.existingConfigSecret }}
  secret: {secretName: {{ .Values.existingConfigSecret }}}
  {{- else }}
  configMap: {name: {{ .Values.existingConfigMap | default (include "bearerswap.fullname" .) }}}
  {{- end }}
# Sockets: the one for `bearerswap grants`, mode 0600, and a sidecar's for Envoy.
- name: bearerswap-run
  emptyDir: {medium: Memory}
{{- if .Values.secretName }}
- name: bearerswap-secrets
  secret: {secretName: {{ .Values.secretName }}, defaultMode: 0440}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}
