import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { Client, credentials } from "@grpc/grpc-js";
import { loadSync, type MethodDefinition, type ServiceDefinition } from "@grpc/proto-loader";

const root = join(dirname(createRequire(import.meta.url).resolve("@grpc/reflection/package.json")), "build/proto");

interface ListAnswer {
  readonly list_services_response: { readonly service: readonly { readonly name: string }[] };
}

/** The services that a server names to grpcurl and its like, by `grpc.reflection.v1` or `v1alpha`. */
export async function listServices(address: string, version: "v1" | "v1alpha" = "v1"): Promise<string[]> {
  const definition = loadSync(`grpc/reflection/${version}/reflection.proto`, { includeDirs: [root], keepCase: true });
  const service = definition[`grpc.reflection.${version}.ServerReflection`] as ServiceDefinition;
  const { path, requestSerialize, responseDeserialize } = service.ServerReflectionInfo as MethodDefinition<
    object,
    object
  >;
  const client = new Client(address, credentials.createInsecure());
  try {
    return await new Promise((resolve, reject) => {
      const call = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, {
        deadline: Date.now() + 5_000,
      });
      call.once("error", reject);
      call.once("data", (answer: ListAnswer) =>
        resolve(answer.list_services_response.service.map(({ name }) => name).sort()),
      );
      call.write({ host: "", list_services: "" });
      call.end();
    });
  } finally {
    client.close();
  }
}
