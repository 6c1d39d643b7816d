{{/*
For the chart of an Envoy of your own that has this chart among its dependencies, with `mode: sidecar`.
charts/examples/envoy-sidecar is such a chart.

  initContainers:
    {{- include "bearerswap.sidecar.initContainer" .Subcharts.bearerswap | nindent 8 }}
  volumes:
    {{- include "bearerswap.sidecar.volumes" .Subcharts.bearerswap | nindent 8 }}

It is a container that begins before Envoy and ends after it (restartPolicy: Always): Envoy drains while it can still
ask. Envoy reaches it at /run/bearerswap/check.sock, on the volume bearerswap-run, and has to be in the group 1000.
*/}}
{{- define "bearerswap.sidecar.initContainer" -}}
{{- include "bearerswap.validate" . }}
{{- if ne .Values.mode "sidecar" }}{{ fail "mode: the templates bearerswap.sidecar.* need mode=sidecar" }}{{ end -}}
- {{ include "bearerswap.container" . | nindent 2 | trim }}
  restartPolicy: Always
  # Envoy starts when this has passed.
  startupProbe:
    httpGet: {path: /readyz, port: {{ include "bearerswap.httpPort" . }}}
    periodSeconds: 1
    failureThreshold: 60
{{- end }}

{{- define "bearerswap.sidecar.volumes" -}}
{{- include "bearerswap.volumes" . }}
{{- end }}
