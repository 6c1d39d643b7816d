import { Redis } from "ioredis";
import { expect, test } from "vitest";
import { hasHashExpiry } from "./binaries.ts";
import { startRedis } from "./redis-server.ts";
import { resources } from "./resources.ts";

const { use, onStop } = resources();

async function connectTo(url: string): Promise<Redis> {
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null });
  client.on("error", () => {});
  onStop(() => client.disconnect());
  await client.connect();
  return client;
}

test("knows from the version line whether a server has hash-field expiry", () => {
  expect(hasHashExpiry("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64")).toBe(false);
  expect(hasHashExpiry("Redis server v=7.4.1 sha=00000000:0")).toBe(true);
  expect(hasHashExpiry("Redis server v=8.0.0 sha=00000000:0")).toBe(true);
  expect(hasHashExpiry("Valkey server v=8.1.3 sha=00000000:0")).toBe(false);
  expect(hasHashExpiry("Valkey server v=9.0.0 sha=00000000:1")).toBe(true);
});

test("starts a server with HPEXPIRE", async () => {
  const server = await use(startRedis());
  const client = await connectTo(server.url);
  await client.hset("h", "field", "value");
  expect(await client.call("HPEXPIRE", "h", "60000", "FIELDS", "1", "field")).toEqual([1]);
});

test("starts a server without HPEXPIRE", async () => {
  const server = await use(startRedis({ hashExpiry: false }));
  const client = await connectTo(server.url);
  await expect(client.call("HPEXPIRE", "h", "60000", "FIELDS", "1", "field")).rejects.toThrow(/unknown command/i);
  await expect(client.eval("return redis.call('HPEXPIRE', 'h', 1, 'FIELDS', 1, 'f')", 0)).rejects.toThrow(/unknown/i);
});

test("asks for the password it was given", async () => {
  const server = await use(startRedis({ password: "pass word" }));
  expect(await (await connectTo(server.url)).ping()).toBe("PONG");
  await expect(connectTo(`redis://127.0.0.1:${server.port}`)).rejects.toThrow();
});

test("freezes and goes on, and starts again on its port after a crash", async () => {
  const server = await use(startRedis());
  const client = await connectTo(server.url);
  await server.pause();
  const held = client.ping();
  expect(await Promise.race([held, new Promise((resolve) => setTimeout(resolve, 50, "silent"))])).toBe("silent");
  await server.resume();
  expect(await held).toBe("PONG");

  await server.kill("SIGKILL");
  const again = await use(startRedis({ port: server.port }));
  expect(again.port).toBe(server.port);
  expect(await (await connectTo(again.url)).ping()).toBe("PONG");
});
