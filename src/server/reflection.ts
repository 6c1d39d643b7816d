import { fileURLToPath } from "node:url";
import type { Server } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { ReflectionService } from "@grpc/reflection";
import { protoPath as healthProto } from "grpc-health-check";

const protoRoot = fileURLToPath(new URL("../../proto", import.meta.url));

/**
 * Serves reflection (grpc.reflection.v1 and v1alpha) for some of our .proto files, given below proto/, and gRPC health.
 * @param services those that are served, where the files import others
 */
export function addReflection(server: Server, files: readonly string[], services?: readonly string[]): void {
  const definition = loadSync([...files, healthProto], { includeDirs: [protoRoot] });
  new ReflectionService(definition, services && { services: [...services] }).addToServer(server);
}
