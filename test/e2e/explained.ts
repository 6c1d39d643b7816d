import type { Redis } from "ioredis";
import { expect } from "vitest";
import type { Explanation } from "../../src/explain/explanation.ts";
import { formatAddress } from "../../src/platform/address.ts";
import { runHere } from "../commands/cli-process.ts";
import { get, type HttpAnswer } from "../support/http-client.ts";
import type { RunningService } from "../support/service.ts";
import { contentsOf } from "../support/store-contents.ts";
import { until } from "../support/until.ts";

/** A request, as `explain` is told of it and as it goes through Envoy. */
export interface Asked {
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** What Envoy's route says; as options of `explain`. */
  readonly route?: readonly string[];
}

interface Place {
  readonly service: Pick<RunningService, "listening">;
  /** Envoy's port. */
  readonly port: number;
  /** A client of the Redis that the service has; undefined where that is down. */
  readonly redis: Redis | undefined;
}

const host = "gateway.example.com";

/** What `explain` says of a request: all of its headers come from standard input. */
export async function explained({ service }: Pick<Place, "service">, asked: Asked): Promise<Explanation> {
  const { path = "/items", headers = {}, route = ["--upstream", "crm"] } = asked;
  const { admin } = service.listening;
  const place = ["--admin", admin === undefined ? "" : formatAddress(admin)];
  const stdin = Object.entries(headers).map(([name, value]) => `${name}: ${value}\n`);
  const request = ["--host", host, "--path", path, "--credentials", "-", ...route];
  const { stdout, stderr } = await runHere(["explain", ...place, "--json", ...request], { stdin: stdin.join("") });
  if (stdout === "") throw new Error(stderr);
  return JSON.parse(stdout) as Explanation;
}

/**
 * Asks `explain` first, and then sends the same request through Envoy. Fails unless `explain` left the store as it was,
 * and foresaw the status and the reason of the answer, and whether it says when to come again and how to log in.
 */
export async function foreseen(place: Place, asked: Asked): Promise<{ said: Explanation; answer: HttpAnswer }> {
  const { redis } = place;
  // Turns at minting are given back after their answers.
  if (redis) await until("the end of turns under way", async () => (await redis.keys("*:flow:minting:*")).length === 0);
  const contents = () => redis && contentsOf(redis, "");
  const before = await contents();
  const said = await explained(place, asked);
  expect(await contents()).toEqual(before);
  const { path = "/items", headers = {} } = asked;
  const answer = await get(place.port, path, { host, ...headers });
  const { outcome, status = 200, headers: told = {} } = said.verdict;
  const names = ["retry-after", "www-authenticate", "location"];
  expect([status, names.map((name) => told[name] !== undefined)]).toEqual([
    answer.status,
    names.map((name) => answer.headers[name] !== undefined),
  ]);
  if (answer.status >= 400) expect(outcome).toBe((JSON.parse(answer.body) as { reason: string }).reason);
  return { said, answer };
}
