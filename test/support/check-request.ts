/** Envoy's CheckRequest, the fields that tests set; names as in the proto. */
export interface CheckRequest {
  readonly attributes?: {
    readonly source?: Peer;
    readonly destination?: Peer;
    readonly request?: { readonly time?: object; readonly http?: CheckHttpRequest };
    readonly context_extensions?: Readonly<Record<string, string>>;
    readonly metadata_context?: { readonly filter_metadata?: Readonly<Record<string, ProtoStruct>> };
    readonly tls_session?: { readonly sni?: string };
  };
}

export interface Peer {
  readonly principal?: string;
  readonly address?: { readonly socket_address: { readonly address: string; readonly port_value: number } };
}

export interface CheckHttpRequest {
  readonly id?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly header_map?: {
    readonly headers: readonly { readonly key: string; readonly value?: string; readonly raw_value?: Uint8Array }[];
  };
  readonly path?: string;
  readonly host?: string;
  readonly scheme?: string;
  readonly protocol?: string;
  readonly body?: string;
}

export interface ProtoStruct {
  readonly fields: Readonly<Record<string, ProtoValue>>;
}
export interface ProtoValue {
  readonly [kind: string]: unknown;
}

export interface HttpRequestOptions {
  readonly method?: string;
  readonly path?: string;
  readonly host?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sends the headers as Envoy does under `encode_raw_headers`: in `header_map`, with `headers` left empty. */
  readonly rawHeaders?: boolean;
  readonly contextExtensions?: Readonly<Record<string, string>>;
  /** Dynamic metadata by filter name, as plain JSON. */
  readonly metadata?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** The verified peer identity, such as spiffe://example.org/agent. */
  readonly principal?: string;
  /** As Envoy sends it `with_request_body`. */
  readonly body?: string;
}

/** The CheckRequest that Envoy makes of such an HTTP request: lower-case header names, pseudo-headers included. */
export function httpRequest(options: HttpRequestOptions = {}): CheckRequest {
  const {
    method = "GET",
    path = "/",
    host = "api.example.com",
    contextExtensions = {},
    metadata = {},
    principal = "",
    body = "",
  } = options;
  const lowered = Object.entries(options.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value] as const);
  const headers = [
    [":method", method],
    [":path", path],
    [":authority", host],
    [":scheme", "https"],
    ...lowered,
  ] as const;
  const carried = options.rawHeaders
    ? { header_map: { headers: headers.map(([key, value]) => ({ key, raw_value: Buffer.from(value, "latin1") })) } }
    : { headers: Object.fromEntries(headers) };
  return {
    attributes: {
      source: { principal, address: { socket_address: { address: "127.0.0.1", port_value: 50_000 } } },
      destination: { address: { socket_address: { address: "127.0.0.1", port_value: 443 } } },
      request: { http: { id: "1", method, path, host, scheme: "https", protocol: "HTTP/1.1", body, ...carried } },
      context_extensions: contextExtensions,
      metadata_context: {
        filter_metadata: Object.fromEntries(
          Object.entries(metadata).map(([name, value]) => [name, protoStruct(value)]),
        ),
      },
    },
  };
}

function protoStruct(value: Readonly<Record<string, unknown>>): ProtoStruct {
  return { fields: Object.fromEntries(Object.entries(value).map(([key, item]) => [key, protoValue(item)])) };
}

function protoValue(value: unknown): ProtoValue {
  if (value === null || value === undefined) return { nullValue: 0 };
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "number") return { numberValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  if (Array.isArray(value)) return { listValue: { values: value.map(protoValue) } };
  return { structValue: protoStruct(value as Record<string, unknown>) };
}

/** The plain JSON of a decoded google.protobuf.Struct. */
export function jsonOf({ fields }: ProtoStruct): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => [key, jsonValue(value)]));
}

function jsonValue(value: ProtoValue): unknown {
  if (value.structValue) return jsonOf(value.structValue as ProtoStruct);
  if (value.listValue) return (value.listValue as { values: ProtoValue[] }).values.map(jsonValue);
  return value.stringValue ?? value.numberValue ?? value.boolValue ?? null;
}
