import { fileURLToPath } from "node:url";
import type { Server } from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { ReflectionService } from "@grpc/reflection";
import { protoPath as healthProto } from "grpc-health-check";

const protoRoot = fileURLToPath(new URL("../../proto", import.meta.url));
/** What was read, by what it was read for: a process that starts servers again reads the files once. */
const read = new Map<string, ReflectionService>();

/**
 * Serves reflection (grpc.reflection.v1 and v1alpha) for some of our .proto files, given below proto/, and gRPC health.
 * @param services those that are served, where the files import others
 */
export function addReflection(server: Server, files: readonly string[], services?: readonly string[]): void {
  const key = JSON.stringify([files, services]);
  const service = read.get(key) ?? readFiles(files, services);
  read.set(key, service);
  service.addToServer(server);
}

function readFiles(files: readonly string[], services: readonly string[] | undefined): ReflectionService {
  const definition = loadSync([...files, healthProto], { includeDirs: [protoRoot] });
  return new ReflectionService(definition, services && { services: [...services] });
}
