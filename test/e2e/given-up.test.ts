import { type ClientHttp2Session, connect } from "node:http2";
import { expect, test } from "vitest";
import { envoyConfig } from "../support/envoy-config.ts";
import { type EnvoyProcess, startEnvoy } from "../support/envoy-process.ts";
import { get } from "../support/http-client.ts";
import { resources } from "../support/resources.ts";
import { bearer, startScenario } from "../support/scenario.ts";
import { until } from "../support/until.ts";
import { startUpstreamApi } from "../support/upstream-api.ts";

const opened = resources();

/** A counter of Envoy's cluster for bearerswap. */
async function counted({ adminUrl }: EnvoyProcess, name: string): Promise<number> {
  const text = await (await fetch(`${adminUrl}/stats?filter=${encodeURIComponent("^cluster.bearerswap\\.")}`)).text();
  return Number(new RegExp(`^cluster\\.bearerswap\\.${name}: (\\d+)`, "m").exec(text)?.[1] ?? Number.NaN);
}

/** Callers of Envoy with the same session, 100 on a connection. */
function callers(port: number, count: number): ClientHttp2Session[] {
  return Array.from({ length: count / 100 }, () => {
    const session = connect(`http://127.0.0.1:${port}`).on("error", () => {});
    opened.onStop(() => session.destroy());
    for (let call = 0; call < 100; call++) session.request({ ":path": "/", ...bearer().headers }).on("error", () => {});
    return session;
  });
}

test("two times 900 callers who give up on a slow provider cost those who stay, and those who come later, nothing", async () => {
  const { service, provider, login } = await startScenario(opened);
  const api = await opened.use(startUpstreamApi({ accepts: () => true }));
  const envoy = await opened.use(
    startEnvoy({ config: envoyConfig({ service: service.grpc, upstreamPort: api.port, upstream: "crm" }) }),
  );
  const port = envoy.port("main");
  const ask = () => get(port, "/", bearer().headers).then(({ status }) => status);
  await login({ token: { accessToken: "" } });
  const gate = provider.hold();
  const staying = [ask(), ask(), ask()];
  await gate.arrived();

  for (let wave = 1; wave <= 2; wave++) {
    const sessions = callers(port, 900);
    await until("all to wait", async () => (await counted(envoy, "upstream_rq_active")) === staying.length + 900);
    for (const session of sessions) session.destroy();
    await until("all to be gone", async () => (await counted(envoy, "upstream_rq_tx_reset")) >= 900 * wave);
  }
  const later = [ask(), ask(), ask()];
  await until(
    "those who came later to wait",
    async () => (await counted(envoy, "upstream_rq_active")) >= staying.length + later.length,
  );
  gate.release();
  expect(await Promise.all([...staying, ...later])).toEqual([200, 200, 200, 200, 200, 200]);
  expect([
    await counted(envoy, "upstream_cx_total"),
    await counted(envoy, "upstream_cx_destroy_remote_with_active_rq"),
  ]).toEqual([1, 0]);
}, 60_000);
