import { expect, test } from "vitest";
import { httpRequest } from "../support/check-request.ts";
import { startOtlpCollector } from "../support/otlp-collector.ts";
import { connectRawGrpc, framed } from "../support/raw-grpc.ts";
import { resources } from "../support/resources.ts";
import { bearer, startScenario } from "../support/scenario.ts";

const opened = resources();
const { use } = opened;
const trace = "0af7651916cd43dd8448eb211c80319c";
const path = "/envoy.service.auth.v3.Authorization/Check";

test.each([
  ["answered directly", {}],
  ["left to grpc-js, as it says how it is encoded", { "grpc-encoding": "identity" }],
])("a call's traceparent counts where the call is %s, and two of them count as none", async (_, headers) => {
  const collector = await use(startOtlpCollector());
  const { service, client } = await startScenario(opened, {
    config: { telemetry: { otlp: { endpoint: collector.url } } },
  });
  const connection = await use(connectRawGrpc(service.grpc));
  const message = framed(client.encode(httpRequest({ ...bearer(), contextExtensions: { upstream: "crm" } })));
  const call = async (traceparent: string | string[]) => {
    const stream = connection.open(path, { ...headers, traceparent });
    const answered = new Promise((resolve) => stream.resume().once("close", resolve));
    stream.end(message);
    await answered;
  };
  await call(`00-${trace}-b7ad6b7169203331-01`);
  await call([`00-${trace}-b7ad6b7169203332-01`, `00-${trace}-b7ad6b7169203333-01`]);
  await service.stop();
  const checks = collector.spans().filter(({ kind }) => kind === "server");
  expect(checks.map(({ parent }) => parent).sort()).toEqual(["", "b7ad6b7169203331"]);
  expect(checks.filter((check) => check.trace === trace)).toHaveLength(1);
});
