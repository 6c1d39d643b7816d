import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import {
  type ChannelCredentials,
  Client,
  type ClientUnaryCall,
  credentials as grpcCredentials,
  type ServiceError,
} from "@grpc/grpc-js";
import { loadSync, type MethodDefinition, type ServiceDefinition } from "@grpc/proto-loader";
import { type CheckRequest, jsonOf, type ProtoStruct } from "./check-request.ts";

/** A decoded CheckResponse: enums by name, unset messages absent, metadata as plain JSON. */
export interface CheckResponse {
  readonly status?: { readonly code: number; readonly message: string };
  readonly ok_response?: {
    readonly headers: readonly HeaderValueOption[];
    readonly headers_to_remove: readonly string[];
    readonly response_headers_to_add: readonly HeaderValueOption[];
    readonly [field: string]: unknown;
  };
  readonly denied_response?: {
    readonly status?: { readonly code: string };
    readonly headers: readonly HeaderValueOption[];
    readonly body: string;
  };
  readonly dynamic_metadata?: Readonly<Record<string, unknown>>;
}

export interface HeaderValueOption {
  readonly header: { readonly key: string; readonly value: string; readonly raw_value: Buffer };
  readonly append?: { readonly value: boolean } | null;
  readonly append_action: string;
  readonly keep_empty_value: boolean;
}

export interface PendingCheck {
  readonly response: Promise<CheckResponse>;
  cancel(): void;
}

export interface CallOptions {
  readonly deadlineMs?: number;
}

export interface ExtAuthzClient {
  /** Rejects with a grpc `ServiceError`. */
  check(request: CheckRequest, options?: CallOptions): Promise<CheckResponse>;
  /** Sends these bytes as they are, well-formed or not. */
  checkRaw(bytes: Uint8Array, options?: CallOptions): Promise<CheckResponse>;
  cancelable(request: CheckRequest, options?: CallOptions): PendingCheck;
  encode(request: CheckRequest): Buffer;
  decode(bytes: Buffer): CheckResponse;
  /** `grpc.health.v1` status of a service ("" is the whole server), such as SERVING. */
  health(service?: string): Promise<string>;
  close(): void;
}

const requireFrom = createRequire(import.meta.url);
const envoyProtos = join(dirname(requireFrom.resolve("@grpc/grpc-js-xds/package.json")), "deps");
const healthProtos = join(dirname(requireFrom.resolve("grpc-health-check/package.json")), "proto");
const checkMethod = loadMethod(
  "envoy/service/auth/v3/external_auth.proto",
  ["envoy-api", "googleapis", "xds", "protoc-gen-validate"].map((dir) => join(envoyProtos, dir)),
  "envoy.service.auth.v3.Authorization",
  "Check",
);
const healthMethod = loadMethod("health/v1/health.proto", [healthProtos], "grpc.health.v1.Health", "Check");

/**
 * Calls Check as Envoy does, coded by Envoy's own descriptors and none of ours. `address` is `127.0.0.1:9191` or
 * `unix:/path`.
 */
export function createExtAuthzClient(
  address: string,
  { credentials = grpcCredentials.createInsecure() }: { credentials?: ChannelCredentials } = {},
): ExtAuthzClient {
  const client = new Client(address, credentials);
  const encode = (request: CheckRequest) => checkMethod.requestSerialize(request);

  function start(bytes: Buffer, options: CallOptions = {}): PendingCheck {
    return startUnary(client, checkMethod.path, bytes, decode, options);
  }

  return {
    check: (request, options) => start(encode(request), options).response,
    checkRaw: (bytes, options) => start(Buffer.from(bytes), options).response,
    cancelable: (request, options) => start(encode(request), options),
    encode,
    decode,
    async health(service = "") {
      const request = healthMethod.requestSerialize({ service });
      const parse = (bytes: Buffer) => healthMethod.responseDeserialize(bytes) as { status: string };
      return (await startUnary(client, healthMethod.path, request, parse, { deadlineMs: 5_000 }).response).status;
    },
    close: () => client.close(),
  };
}

function decode(bytes: Buffer): CheckResponse {
  const { dynamic_metadata, ...response } = checkMethod.responseDeserialize(bytes) as CheckResponse & {
    dynamic_metadata?: ProtoStruct;
  };
  return dynamic_metadata ? { ...response, dynamic_metadata: jsonOf(dynamic_metadata) } : response;
}

function startUnary<T>(
  client: Client,
  path: string,
  bytes: Buffer,
  decode: (bytes: Buffer) => T,
  { deadlineMs = 20_000 }: CallOptions,
) {
  let call: ClientUnaryCall | undefined;
  const response = new Promise<T>((resolve, reject) => {
    const done = (error: ServiceError | null, answer?: T) => (error === null ? resolve(answer as T) : reject(error));
    call = client.makeUnaryRequest(
      path,
      (raw: Buffer) => raw,
      decode,
      bytes,
      { deadline: Date.now() + deadlineMs },
      done,
    );
  });
  return { response, cancel: () => call?.cancel() };
}

function loadMethod(
  file: string,
  includeDirs: string[],
  service: string,
  method: string,
): MethodDefinition<object, object> {
  const definition = loadSync(file, {
    includeDirs,
    keepCase: true,
    enums: String,
    longs: String,
    arrays: true,
    objects: false,
  });
  return (definition[service] as ServiceDefinition)[method] as MethodDefinition<object, object>;
}
