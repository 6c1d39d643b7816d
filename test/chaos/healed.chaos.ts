import { expect, test } from "vitest";
import { httpRequest } from "../support/check-request.ts";
import {
  createExtProcClient,
  type ExtProcClient,
  headerMap,
  metadataContext,
  type ProcessingMessage,
  tokenIn,
} from "../support/ext-proc-client.ts";
import { startRedis } from "../support/redis-server.ts";
import { resources } from "../support/resources.ts";
import { answerOf } from "../support/scenario.ts";
import { until } from "../support/until.ts";
import { newSession, type Replica, startFleet } from "./fleet.ts";

const opened = resources();
const { use } = opened;

/** What Check leaves with a request of this session. */
async function allowed({ client }: Replica, session: string): Promise<Readonly<Record<string, unknown>>> {
  return until("a proof", async () => {
    const headers = { "x-session": session };
    const { metadata } = answerOf(await client.check(httpRequest({ headers, contextExtensions: { upstream: "crm" } })));
    return metadata.proof === undefined ? undefined : metadata;
  });
}

const rejection = (metadata: Readonly<Record<string, unknown>>): ProcessingMessage => ({
  response_headers: headerMap({ ":status": "401", "www-authenticate": 'Bearer error="invalid_token"' }),
  metadata_context: metadataContext(metadata),
});
const retry = (metadata: Readonly<Record<string, unknown>>): ProcessingMessage => ({
  request_headers: headerMap({ ":method": "GET", ":path": "/", ":authority": "crm", "x-envoy-attempt-count": "2" }),
  metadata_context: metadataContext(metadata),
});

async function healing(count = 3) {
  const redis = await use(startRedis());
  const fleet = await startFleet(opened, {
    ...{ store: { server: redis }, config: { heal: {} }, accessTokenLifeSeconds: 3_600, count },
  });
  const clients: ExtProcClient[] = [];
  for (const { serve } of fleet.replicas) clients.push(await use(createExtProcClient(serve.grpc)));
  return { fleet, clients };
}

test("a replica killed between a rejection and the refresh costs nothing: the retry at another one is healed", async () => {
  const { fleet, clients } = await healing();
  const session = newSession();
  await fleet.login(session);
  const [told, retried] = [fleet.replicas[0] as Replica, clients[1] as ExtProcClient];
  const metadata = await allowed(told, session);
  await clients[0]?.process([rejection(metadata)]);
  await told.serve.child.stop("SIGKILL");
  const token = tokenIn(await retried.process([retry(metadata)]));
  expect(await fleet.provider.isActive(token?.replace("Bearer ", "") ?? "")).toBe(true);
  await fleet.expectRedemptions();
});

test("a replica killed while it refreshes for a rejection costs no session: the retry at another one is healed after it", async () => {
  const { fleet, clients } = await healing();
  const session = newSession();
  await fleet.login(session);
  const [first, second] = [fleet.replicas[0] as Replica, clients[1] as ExtProcClient];
  const metadata = await allowed(first, session);
  await clients[0]?.process([rejection(metadata)]);
  const held = fleet.holdRefresh();
  const lost = clients[0]?.process([retry(metadata)]).catch(() => "gone");
  const call = await held;
  await first.serve.child.stop("SIGKILL");
  await call.abandoned;
  expect(await lost).toBe("gone");
  fleet.gate.rule({ kind: "forward" });
  const token = await until(
    "another token",
    async () => tokenIn(await second.process([retry(metadata)]))?.replace("Bearer ", ""),
    { timeoutMs: 60_000 },
  );
  expect(await fleet.provider.isActive(token)).toBe(true);
  await fleet.expectRedemptions();
});
