{{- define "bearerswap.backendRef" -}}
{name: {{ include "bearerswap.fullname" . }}, namespace: {{ .Release.Namespace }}, port: {{ .Values.ports.grpc }}}
{{- end }}

{{/* `extAuth` of a SecurityPolicy. Takes root, and route: one of envoyGateway.routes, or nothing for the pages. */}}
{{- define "bearerswap.extAuth" -}}
{{- $gateway := .root.Values.envoyGateway -}}
grpc:
  backendRefs:
    - {{ include "bearerswap.backendRef" .root }}
  backendSettings:
    # For a check that never reached a replica, as it has just gone away: another one is asked. Nothing else is
    # repeated.
    retry:
      numRetries: 2
      retryOn: {triggers: [connect-failure, refused-stream]}
      # maxInterval must be longer than the timeout below: Envoy takes it for the time limit of each single try, and 10s
      # where it is not given, so that a refresh that takes longer would be cut off and end as an empty 503. Whole
      # seconds: Envoy Gateway cuts fractions off.
      perRetry: {backOff: {baseInterval: 1s, maxInterval: 20s}}
    # Checks wait for refreshes: at the default of 1024 one slow provider could keep out requests whose token is at
    # hand.
    circuitBreaker: {maxParallelRequests: 10000, maxPendingRequests: 10000, maxParallelRetries: 1000}
{{- with .route }}
contextExtensions:
  - {name: upstream, type: Value, value: {{ .upstream }}}
  {{- if .mcp }}
  - {name: mcp, type: Value, value: "true"}
  {{- end }}
{{- if .mcp }}
# bearerswap reads what MCP clients ask. A longer request gets 413, and Envoy holds that much of each.
bodyToExtAuth: {maxRequestBytes: {{ int $gateway.maxRequestBytes }}}
{{- end }}
{{- end }}
timeout: {{ $gateway.timeout }}
# Never true: when bearerswap is down or slow, requests would go upstream with the session credential in them.
failOpen: false
# The default, 403, tells clients to give up, or to log in again, over a restart of bearerswap.
statusOnError: 503
headersToExtAuth:
  {{- toYaml $gateway.headers | nindent 2 }}
  {{- if and .route .route.mcp }}
  - mcp-protocol-version
  - mcp-session-id
  {{- end }}
# The headers bearerswap sets must not choose another route after the token has been chosen.
recomputeRoute: false
{{- end }}
