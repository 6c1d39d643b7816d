import { expect, test } from "vitest";
import { envoyConfig } from "../support/envoy-config.ts";
import { startEnvoy } from "../support/envoy-process.ts";
import { get } from "../support/http-client.ts";
import { resources } from "../support/resources.ts";
import { bearer, startScenario } from "../support/scenario.ts";
import { until } from "../support/until.ts";
import { startUpstreamApi } from "../support/upstream-api.ts";

const opened = resources();
/** Envoy's access log, a line for each request, among what it prints. */
const accessLog = [
  {
    name: "stdout",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
      log_format: {
        text_format_source: { inline_string: "access %RESPONSE_CODE% %REQ(:PATH)% %REQ(X-REQUEST-ID)%\n" },
      },
    },
  },
];

test("a denied request's line has the x-request-id that stands in Envoy's access log, Envoy's own or one that it kept", async () => {
  const { service } = await startScenario(opened);
  const api = await opened.use(startUpstreamApi({ accepts: () => true }));
  const manager = { access_log: accessLog, preserve_external_request_id: true };
  const config = envoyConfig({ service: service.grpc, upstreamPort: api.port, upstream: "crm", manager });
  const envoy = await opened.use(startEnvoy({ config, args: ["--file-flush-interval-msec", "50"] }));
  const port = envoy.port("main");

  expect((await get(port, "/made", {})).status).toBe(401);
  expect((await get(port, "/kept", { ...bearer().headers, "x-request-id": "from-the-client" })).status).toBe(401);

  const lines = await until("the access log", () => {
    const found = [...envoy.output().matchAll(/^access 401 (\S+) (\S+)$/gm)];
    return found.length === 2 ? found : undefined;
  });
  const ids = new Map(lines.map(([, path, id]) => [path, id]));
  expect(service.events("denied").map(({ requestId }) => requestId)).toEqual([ids.get("/made"), ids.get("/kept")]);
  expect([ids.get("/made"), ids.get("/kept")]).toEqual([
    expect.stringMatching(/^[\da-f]{8}-[\da-f-]{27}$/),
    "from-the-client",
  ]);
});
