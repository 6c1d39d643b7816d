import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { Client, credentials } from "@grpc/grpc-js";
import { loadSync, type MethodDefinition, type ServiceDefinition } from "@grpc/proto-loader";

const protos = join(dirname(createRequire(import.meta.url).resolve("grpc-health-check/package.json")), "proto");

/** What a client with health checking (gRPC A17) is told of a service, from its call on. */
export interface HealthWatch {
  readonly statuses: readonly string[];
  close(): void;
}

export function watchHealth(address: string, service = ""): HealthWatch {
  const definition = loadSync("health/v1/health.proto", { includeDirs: [protos], enums: String });
  const { path, requestSerialize, responseDeserialize } = (definition["grpc.health.v1.Health"] as ServiceDefinition)
    .Watch as MethodDefinition<object, object>;
  const client = new Client(address, credentials.createInsecure());
  const call = client.makeServerStreamRequest(path, requestSerialize, responseDeserialize, { service });
  const statuses: string[] = [];
  call.on("data", (answer: { status: string }) => statuses.push(answer.status));
  call.on("error", () => {});
  return {
    statuses,
    close() {
      call.cancel();
      client.close();
    },
  };
}
