import { expect, test } from "vitest";
import { type Block, blocksOf, documentsIn, pageAt } from "../docs/pages.ts";
import { replaceAll, type Tree } from "../envoy/examples.ts";
import type { World } from "./world.ts";

/**
 * The manifests of docs/tracing.md that are of this API group, as they stand there but for two things: all requests are
 * followed, since each of a test has to be.
 */
export function tracingManifests(group: string): readonly Tree[] {
  return blocksOf(pageAt("docs/tracing.md"), "yaml")
    .flatMap((block: Block) => documentsIn(block) as Tree[])
    .filter(({ apiVersion }) => String(apiVersion).includes(group))
    .map((manifest) => allFollowed(manifest) as Tree);
}

function allFollowed(manifest: Tree): unknown {
  const keys = ["randomSamplingPercentage", "samplingRate"];
  return keys.reduce<unknown>((tree, key) => replaceAll(tree, key, () => 100), manifest);
}

/** The gateway's tracer and bearerswap see one trace. */
export function followsTraces(world: () => World): void {
  test("goes on with the trace that the gateway's tracer follows", async () => {
    const { agent, send, traces } = world();
    const trace = "0af7651916cd43dd8448eb211c80319c";
    const client = "b7ad6b7169203331";
    const headers = { ...(await agent("session-traced")), traceparent: `00-${trace}-${client}-01` };
    expect((await send("/crm/traced", { headers })).status).toBe(401);

    const check = await traces.check(trace);
    const call = await traces.gateway.span("the gateway's call", ({ id }) => id === check.parent);
    const first = await traces.gateway.span("the gateway's first span", ({ parent }) => parent === client);
    expect([call.trace, call.kind, call.parent]).toEqual([trace, "client", first.id]);
    expect(check.attributes["bearerswap.outcome"]).toBe("grant_missing");
  });
}
