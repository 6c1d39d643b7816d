import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { Client, credentials } from "@grpc/grpc-js";
import { loadSync, type MethodDefinition, type ServiceDefinition } from "@grpc/proto-loader";

/** A message of ext_proc as JSON: oneofs by the name of their field, enums by name. */
export type ProcessingMessage = Readonly<Record<string, unknown>>;

/** Calls Process as Envoy does, coded by Envoy's own descriptors and none of ours. */
export interface ExtProcClient {
  /** One stream for these messages, of which bytes are sent as they are. Resolves to all answers when it has ended. */
  process(messages: readonly (ProcessingMessage | Uint8Array)[]): Promise<readonly ProcessingMessage[]>;
  /** A message's bytes. */
  encode(message: ProcessingMessage): Buffer;
  stop(): void;
}

const requireFrom = createRequire(import.meta.url);
const deps = join(dirname(requireFrom.resolve("@grpc/grpc-js-xds/package.json")), "deps");
const method = loadSync("envoy/service/ext_proc/v3/external_processor.proto", {
  includeDirs: ["envoy-api", "googleapis", "xds", "protoc-gen-validate"].map((dir) => join(deps, dir)),
  ...{ keepCase: true, enums: String, longs: String, arrays: true },
})["envoy.service.ext_proc.v3.ExternalProcessor"] as ServiceDefinition;

export function createExtProcClient(address: string): ExtProcClient {
  const client = new Client(address, credentials.createInsecure());
  const { path, requestSerialize, responseDeserialize } = method.Process as MethodDefinition<object, object>;
  const serialize = (message: ProcessingMessage | Uint8Array) =>
    message instanceof Uint8Array ? Buffer.from(message) : requestSerialize(message);
  return {
    process(messages) {
      const call = client.makeBidiStreamRequest(path, serialize, (bytes: Buffer) => responseDeserialize(bytes), {
        deadline: Date.now() + 20_000,
      });
      const answers: ProcessingMessage[] = [];
      call.on("data", (answer: ProcessingMessage) => answers.push(answer));
      for (const message of messages) call.write(message);
      call.end();
      return new Promise((resolve, reject) => {
        call.on("end", () => resolve(answers));
        call.on("error", reject);
      });
    },
    encode: serialize,
    stop: () => client.close(),
  };
}

/** Headers as Envoy sends them. */
export function headerMap(headers: Readonly<Record<string, string>>): object {
  return {
    headers: { headers: Object.entries(headers).map(([key, value]) => ({ key, raw_value: Buffer.from(value) })) },
  };
}

/** What Check has left with the request, as Envoy forwards it. */
export function metadataContext(fields: Readonly<Record<string, unknown>>): object {
  const struct = Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, { stringValue: String(value) }]),
  );
  return { filter_metadata: { "envoy.filters.http.ext_authz": { fields: struct } } };
}

/** What the retry's token header is set to; undefined where it is left. */
export function tokenIn(answers: readonly ProcessingMessage[]): string | undefined {
  const text = JSON.stringify(answers, (_, value) =>
    value?.type === "Buffer" ? Buffer.from(value.data).toString("utf8") : value,
  );
  return /"key":"authorization",(?:"value":"",)?"raw_value":"([^"]+)"/.exec(text)?.[1];
}
