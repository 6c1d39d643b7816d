{{/*
Upstream HTTP filters that cure an API's 401, from envoy/envoy-heal.yaml. Takes root, and service: what grpc_service is
here, as a dict.
*/}}
{{- define "bearerswap.healOptions" -}}
{{- $filters := .root.Files.Get "files/heal-filters.yaml" | replace "GRPC_SERVICE" (toJson .service) -}}
envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
  "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
  # Envoy wants a protocol here. All of this stands in place of what the gateway has made of its own policies for the
  # API's connections.
  explicit_http_config: {http_protocol_options: {}}
  http_filters:
    {{- $filters | nindent 4 }}
{{- end }}
