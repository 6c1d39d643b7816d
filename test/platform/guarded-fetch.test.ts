import type { LookupAddress } from "node:dns";
import { isIPv6, type LookupFunction } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { createGuardedFetchFor, egressProxyWarning } from "../../src/platform/guarded-fetch.ts";
import { NotSentError } from "../../src/platform/not-sent.ts";
import { startConnectProxy } from "../support/connect-proxy.ts";
import { startHttpServer } from "../support/http-servers.ts";
import { resources } from "../support/resources.ts";

const { use } = resources();

/** A server on loopback, and the names that it was asked by. */
async function serving() {
  const hosts: string[] = [];
  const server = await use(
    startHttpServer((request, response) => {
      hosts.push(request.headers.host ?? "");
      response.end("here");
    }),
  );
  return { server, url: server.url, port: server.port, hosts };
}

/** A resolver whose answers change with each question; the last one stays. */
function resolving(...answers: readonly (readonly string[])[]) {
  const asked: string[] = [];
  const lookup: LookupFunction = (hostname, options, callback) => {
    const addresses = answers[Math.min(asked.push(hostname), answers.length) - 1] ?? [];
    const found = addresses.map((address): LookupAddress => ({ address, family: isIPv6(address) ? 6 : 4 }));
    setImmediate(() => (options.all ? callback(null, found) : callback(null, found[0]?.address ?? "", 4)));
  };
  return { lookup, asked };
}

const configured = "https://mcp.example.com/mcp";
const strict = { configured, allowPrivate: false };
const refused = /no address of the public internet \(\w+\): nothing was sent/;

test.each([
  "127.0.0.1",
  "2130706433",
  "0x7f.1",
  "0177.0.0.1",
  "127.0.0.1.",
  "[::ffff:127.0.0.1]",
  "[::ffff:7f00:1]",
  "[64:ff9b::127.0.0.1]",
  "[::1]",
  "0.0.0.0",
  "localhost",
  "LOCALHOST.",
  "as.localhost",
])("asks nothing of %s, however this machine is written", async (host) => {
  const { port, server } = await serving();
  const { lookup, asked } = resolving(["127.0.0.1"]);
  const asking = createGuardedFetchFor({}, { lookup })(undefined, strict)(`http://${host}:${port}/`);
  await expect(asking).rejects.toThrow(refused);
  await expect(asking).rejects.toBeInstanceOf(NotSentError);
  expect([server.connections, asked]).toEqual([0, []]);
});

test("refuses names like localhost also by the system's own resolver", async () => {
  const { port, server } = await serving();
  const asking = createGuardedFetchFor({})(undefined, strict)(`http://localhost:${port}/`);
  await expect(asking).rejects.toThrow(/localhost:\d+ leads to 127.0.0.1, which is no address of the public internet/);
  expect(server.connections).toBe(0);
});

test.each([
  [["10.0.0.5"], "10.0.0.5"],
  [["169.254.169.254"], "169.254.169.254"],
  [["fd00::5"], "fd00::5"],
  [["fe80::1%lo"], "fe80::1%lo"],
  [["93.184.215.14", "127.0.0.1"], "127.0.0.1"],
  [["2606:4700::1111", "::ffff:192.168.0.1"], "::ffff:192.168.0.1"],
])("refuses a name that leads to %s, with the name and the address in words", async (addresses, culprit) => {
  const { lookup } = resolving(addresses);
  const asking = createGuardedFetchFor({}, { lookup })(undefined, strict)("https://as.example.com/token");
  await expect(asking).rejects.toThrow(`as.example.com leads to ${culprit}, which is no address of the public`);
  await expect(asking).rejects.toBeInstanceOf(NotSentError);
});

test("connects to the address that was checked: a name that would lead elsewhere next time is not looked up again", async () => {
  const { port, hosts } = await serving();
  // Loopback stands for the internet here, so that the connection can be seen to arrive.
  const { lookup, asked } = resolving(["127.0.0.1"], ["10.0.0.5"]);
  const fetch = createGuardedFetchFor({}, { lookup })(undefined, { ...strict, configured: "http://localhost:1/mcp" });
  expect(await (await fetch(`http://as.example.com:${port}/`)).text()).toBe("here");
  expect([asked, hosts]).toEqual([["as.example.com"], [`as.example.com:${port}`]]);
});

test("a name that was good once is checked again for the next connection", async () => {
  const { server, port } = await serving();
  const { lookup } = resolving(["127.0.0.1"], ["10.0.0.5"]);
  const fetch = createGuardedFetchFor({}, { lookup })(undefined, { ...strict, configured: "http://localhost:1/mcp" });
  const url = `http://as.example.com:${port}/`;
  await fetch(url);
  server.disconnect();
  // The first request may still meet the connection that is gone.
  await fetch(url).catch(() => undefined);
  await expect(fetch(url)).rejects.toThrow("leads to 10.0.0.5");
});

test("a configured server may be anywhere, by its own origin alone", async () => {
  const [own, other] = [await serving(), await serving()];
  const { lookup } = resolving(["127.0.0.1"]);
  const guard = { configured: `http://mcp.internal:${own.port}/mcp`, allowPrivate: false };
  const fetch = createGuardedFetchFor({}, { lookup })(undefined, guard);
  expect(await (await fetch(`http://mcp.internal:${own.port}/register`)).text()).toBe("here");
  await expect(fetch(`http://mcp.internal:${other.port}/`)).rejects.toThrow("mcp.internal leads to 127.0.0.1");
  expect(other.hosts).toEqual([]);
});

test("a configured server of this machine may refer to others of this machine, and to nothing else that is private", async () => {
  const { port } = await serving();
  const { lookup } = resolving(["10.0.0.5"]);
  const guard = { configured: "http://127.0.0.1:1/mcp", allowPrivate: false };
  const fetch = createGuardedFetchFor({}, { lookup })(undefined, guard);
  expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(200);
  await expect(fetch("http://192.168.0.1/")).rejects.toThrow(refused);
  await expect(fetch("http://as.example.com/")).rejects.toThrow("as.example.com leads to 10.0.0.5");
});

test("the operator can lift the check", async () => {
  const { port } = await serving();
  const fetch = createGuardedFetchFor({})(undefined, { configured, allowPrivate: true });
  expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(200);
});

test("follows no redirect", async () => {
  const inner = await serving();
  const server = await use(
    startHttpServer((_, response) => response.writeHead(307, { location: inner.url }).end("moved")),
  );
  const fetch = createGuardedFetchFor({})(undefined, { configured: server.url, allowPrivate: false });
  expect((await fetch(server.url)).status).toBe(307);
  expect(inner.server.connections).toBe(0);
});

test("behind an egress proxy, checks what can be checked, and says that names cannot", async () => {
  const proxy = await use(startConnectProxy());
  const { port, hosts } = await serving();
  for (const name of ["HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "NO_PROXY", "no_proxy"]) {
    const before = process.env[name];
    onTestFinished(() => {
      if (before === undefined) delete process.env[name];
      else process.env[name] = before;
    });
    delete process.env[name];
  }
  process.env.HTTP_PROXY = proxy.url;
  const env = { NODE_USE_ENV_PROXY: "1" };
  const { lookup, asked } = resolving(["10.0.0.5"]);
  const fetch = createGuardedFetchFor(env, { lookup })(undefined, strict);
  for (const host of ["127.0.0.1", "[::1]", "localhost", "localhost."])
    await expect(fetch(`http://${host}:${port}/`)).rejects.toThrow(refused);
  expect([proxy.tunnels, hosts]).toEqual([[], []]);
  expect((await fetch(`http://as.example.com:${port}/`)).status).toBe(200);
  expect([proxy.tunnels, asked]).toEqual([[`as.example.com:${port}`], []]);

  process.env.NO_PROXY = "direct.example.com";
  const direct = createGuardedFetchFor(env, { lookup })(undefined, strict);
  await expect(direct(`http://direct.example.com:${port}/`)).rejects.toThrow("leads to 10.0.0.5");
  expect(egressProxyWarning(env)).toContain("cannot check that their addresses are public");
  expect(egressProxyWarning({})).toBeUndefined();
});
