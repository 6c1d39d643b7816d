import { expect, test } from "vitest";
import { startBearerswap } from "../bench/servers.ts";
import { httpRequest } from "../support/check-request.ts";
import { createExtAuthzClient } from "../support/ext-authz-client.ts";
import { resources } from "../support/resources.ts";

const { use } = resources();

/**
 * So many credentials come at a time, and so many times; the first time is not counted, as everything is loaded and
 * compiled then.
 */
const batch = 2_000;
const rounds = 4;
const length = 8_000;
/** The credentials would take 8,000 bytes each. */
const limit = 300;

test("a stranger's credentials, of 8 KB each, take at most 300 bytes each of the process's memory", async () => {
  const issuer = { issuer: "http://127.0.0.1:9", jwks: "http://127.0.0.1:9/jwks", audience: "gateway", claim: "sid" };
  const service = await use(
    startBearerswap(
      {
        sessions: [
          { name: "agents", jwt: issuer },
          { name: "app", opaque: { from: { header: "x-session" } } },
          { name: "web", opaque: { from: { cookie: "web" } } },
        ],
        upstreams: { crm: { tokenEndpoint: "http://127.0.0.1:9/token", clientId: "gateway" } },
      },
      { measurable: true },
    ),
  );
  const client = await use(createExtAuthzClient(`127.0.0.1:${service.port}`));
  let next = 0;
  const send = async () => {
    const value = `${next++}-`.padEnd(length, "x");
    const headers: Record<string, string> = next % 2 === 0 ? { "x-session": value } : { cookie: `web=${value}` };
    expect(
      (await client.check(httpRequest({ contextExtensions: { upstream: "crm" }, headers }))).denied_response?.status
        ?.code,
    ).toBe("Unauthorized");
  };
  const inUse: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    for (let sent = 0; sent < batch; sent += 100) await Promise.all(Array.from({ length: 100 }, send));
    inUse.push(await service.bytesInUse());
  }
  expect(((inUse.at(-1) ?? Number.NaN) - (inUse[0] ?? Number.NaN)) / (batch * (rounds - 1))).toBeLessThan(limit);
}, 180_000);
